import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * One OpenSearch node on the loopback interface, for as long as a process uses it.
 *
 * <p>A user is a file of the folder "users" whose name is the id of a living process: so a server
 * outlives neither a test run that ends nor one that is killed, and several test processes share it.
 */
public final class Launcher {
    private static final long MILLISECONDS = 500;

    private Launcher() {}

    /**
     * Starts the node.
     *
     * @param arguments the folder, the HTTP port, the transport port
     */
    public static void main(final String[] arguments) throws Exception {
        final Path folder = Path.of(arguments[0]);
        Files.writeString(folder.resolve("pid"), Long.toString(ProcessHandle.current().pid()));
        final OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", arguments[1]);
            settings.put("transport.port", arguments[2]);
            settings.put("network.host", "127.0.0.1");
            settings.put("discovery.type", "single-node");
            settings.putList("discovery.seed_hosts");
            settings.remove("cluster.initial_cluster_manager_nodes");
            // How often the node looks for points in time that have expired, and the least it keeps them.
            settings.put("search.keep_alive_interval", "1s");
            settings.put("point_in_time.init.keep_alive", "2s");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        runner.build(OpenSearchRunner.newConfigs()
                .basePath(folder.resolve("node").toString())
                .clusterName("kalla-tests")
                .numOfNode(1)
                .disableESLogger());
        while (isUsed(folder.resolve("users"))) {
            Thread.sleep(MILLISECONDS);
        }
        Runtime.getRuntime().halt(0);
    }

    private static boolean isUsed(final Path users) {
        try (Stream<Path> files = Files.list(users)) {
            return files.anyMatch(file ->
                    ProcessHandle.of(Long.parseLong(file.getFileName().toString())).isPresent());
        } catch (IOException gone) {
            return false;
        }
    }
}
