// Package kit tests connectors. It runs a connector as a worker does, with a cluster that is made up in the test's process or with a real
// one, crashes it, starts it again, and checks what arrived:
//
//	func TestMySource(t *testing.T) {
//		k := kit.New(t, kit.Topic("lines", 1))
//		k.Crash(MySource{}, map[string]string{"topic": "lines"}, func() bool { return len(k.Values("lines")) >= 1000 })
//		if err := kit.Delivered(want, k.Values("lines")); err != nil {
//			t.Error(err)
//		}
//	}
//
// A crash here is what a worker that is killed is for the cluster: nothing that the connector does afterwards is sent or kept. What the
// connector itself has open it is asked to close by the end of its context, as always.
package kit
