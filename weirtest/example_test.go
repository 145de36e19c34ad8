package weirtest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/weirtest"
)

// In a test, it is weirtest.Start(t, …), which ends with the test. The examples are programs, so they use Run.
func Example() {
	node, err := weirtest.Run(weirtest.Topic("orders", 3))
	if err != nil {
		panic(err)
	}
	defer node.Close()

	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.ConsumeTopics("orders"))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	node.Produce("orders", "2 candles")
	for _, record := range client.PollFetches(context.Background()).Records() {
		fmt.Println(string(record.Value))
	}
	// Output: 2 candles
}

// A producer meets a broker that is not the leader, three times in a row.
func ExampleNode_Next() {
	node, err := weirtest.Run(weirtest.Topic("orders", 1))
	if err != nil {
		panic(err)
	}
	defer node.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.DefaultProduceTopic("orders"), kgo.MetadataMinAge(minAge))
	if err != nil {
		panic(err)
	}
	defer client.Close()

	all := node.Every(kmsg.Produce, weirtest.Pass())
	node.Next(3, kmsg.Produce, weirtest.Fail(kerr.NotLeaderForPartition))
	err = client.ProduceSync(context.Background(), kgo.StringRecord("1 kettle")).FirstErr()
	fmt.Println(err, "after", all.Hits(), "requests;", node.Consume("orders", 1))
	// Output: <nil> after 4 requests; [1 kettle]
}

// A consumer may not read one of its topics.
func ExampleNode_OnRequest() {
	node, err := weirtest.Run(weirtest.Topic("orders", 1), weirtest.Topic("salaries", 1))
	if err != nil {
		panic(err)
	}
	defer node.Close()
	node.OnRequest(kmsg.ListOffsets, func(r weirtest.Request) weirtest.Action {
		for _, topic := range r.Body.(*kmsg.ListOffsetsRequest).Topics {
			if topic.Topic == "salaries" {
				return weirtest.Fail(kerr.TopicAuthorizationFailed)
			}
		}
		return weirtest.Pass()
	})

	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.ConsumeTopics("salaries"))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	err = client.PollFetches(context.Background()).Err()
	fmt.Println(errors.Is(err, kerr.TopicAuthorizationFailed))
	// Output: true
}

// The answer gets lost: the record is written, the producer does not learn of it and sends it again. It is there once.
func ExampleCutAnswer() {
	node, err := weirtest.Run(weirtest.Topic("orders", 1))
	if err != nil {
		panic(err)
	}
	defer node.Close()
	node.Next(1, kmsg.Produce, weirtest.CutAnswer(0))
	node.Produce("orders", "1 kettle")
	node.Produce("orders", "3 lanterns")
	fmt.Println(node.Consume("orders", 2))
	// Output: [1 kettle 3 lanterns]
}

// A power cut: what was acknowledged is there afterwards.
func ExampleNode_Kill() {
	node, err := weirtest.Run(weirtest.Topic("orders", 1))
	if err != nil {
		panic(err)
	}
	defer node.Close()
	node.Produce("orders", "before")
	node.Kill()
	node.Restart()
	node.Produce("orders", "after")
	fmt.Println(node.Consume("orders", 2))
	// Output: [before after]
}
