import java.time.Duration;
import java.util.Map;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

/** Prints how far a group is, as consumers that move to another cluster ask: bootstrap servers, alias of the cluster they leave, group. */
class Translate {
  public static void main(String[] args) throws Exception {
    RemoteClusterUtils.translateOffsets(Map.of("bootstrap.servers", args[0]), args[1], args[2], Duration.ofSeconds(30))
        .forEach((partition, at) -> System.out.println("translated " + partition + " " + at.offset()));
  }
}
