import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node: Server DIR PORT [setting=value...]. Ends when it is told to, its data stay in DIR. */
class Server {
    public static void main(String[] args) throws Exception {
        var node = new OpenSearchRunner() {
            {
                maxHttpPort = 65535; // its own limit is 9299
            }
        };
        node.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("transport.port", "0");
            for (int i = 2; i < args.length; i++) {
                var setting = args[i].split("=", 2);
                settings.put(setting[0], setting[1]);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        node.build(OpenSearchRunner.newConfigs().basePath(args[0]).clusterName("weir").numOfNode(1).baseHttpPort(Integer.parseInt(args[1]) - 1));
        Thread.currentThread().join();
    }
}
