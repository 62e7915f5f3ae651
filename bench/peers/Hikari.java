// HikariCP with pgjdbc, a thread for each task: MODE TASKS POOL SECONDS, as opi-bench pool.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.atomic.LongAdder;

public final class Hikari {
  static volatile boolean measuring, stopped;
  static final LongAdder COUNT = new LongAdder();
  static final String SQL = "SELECT id, name, payload FROM item WHERE id = ?";

  static final class Task extends Thread {
    final HikariDataSource source;
    final boolean queries;
    final boolean yields;
    long[] waits = new long[1 << 16];
    int timedCount;
    int random;

    Task(HikariDataSource from, boolean query, boolean yield, int seed) {
      source = from;
      queries = query;
      yields = yield;
      random = seed;
    }

    @Override public void run() {
      try {
        for (int round = 0; !stopped; round++) {
          boolean timed = (queries || round % 64 == 0) && measuring;
          long asked = timed ? System.nanoTime() : 0;
          try (Connection connection = source.getConnection()) {
            if (timed) note(System.nanoTime() - asked);
            if (queries) {
              query(connection);
            } else if (yields) {
              Thread.yield();
            }
          }
          COUNT.increment();
        }
      } catch (Exception problem) {
        problem.printStackTrace();
        System.exit(1);
      }
    }

    void query(Connection connection) throws Exception {
      random = random * 1664525 + 1013904223;
      try (PreparedStatement statement = connection.prepareStatement(SQL)) {
        statement.setInt(1, (random >>> 8) % 10000 + 1);
        try (ResultSet rows = statement.executeQuery()) {
          rows.next();
          if (rows.getInt(1) < 1 || rows.getString(2).isEmpty() || rows.getString(3).length() != 100) {
            throw new IllegalStateException("another row");
          }
        }
      }
    }

    void note(long wait) {
      if (timedCount == waits.length) waits = Arrays.copyOf(waits, 2 * waits.length);
      waits[timedCount++] = wait;
    }
  }

  static long cpu() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  static String variable(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }

  public static void main(String[] arguments) throws Exception {
    String mode = arguments[0];
    int tasks = Integer.parseInt(arguments[1]);
    int size = Integer.parseInt(arguments[2]);
    double seconds = Double.parseDouble(arguments[3]);
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl("jdbc:postgresql://" + variable("PGHOST", "127.0.0.1") + ":" + variable("PGPORT", "5432") + "/"
        + variable("PGDATABASE", "postgres"));
    config.setUsername(variable("PGUSER", "postgres"));
    config.setPassword(variable("PGPASSWORD", ""));
    config.addDataSourceProperty("prepareThreshold", "1");
    config.setMaximumPoolSize(size);
    config.setMinimumIdle(size);
    long begun = System.nanoTime();
    HikariDataSource source = new HikariDataSource(config);
    while (source.getHikariPoolMXBean().getTotalConnections() < size) Thread.sleep(1);
    double startup = (System.nanoTime() - begun) / 1e6;

    Task[] all = new Task[tasks];
    for (int task = 0; task < tasks; task++) {
      all[task] = new Task(source, mode.equals("query"), tasks > 1, task + 1);
      all[task].start();
    }
    // The JIT needs longer than the others' warm-up.
    Thread.sleep(2000);
    measuring = true;
    long before = COUNT.sum();
    long used = cpu();
    long start = System.nanoTime();
    Thread.sleep((long) (seconds * 1000));
    double ops = COUNT.sum() - before;
    double spent = (cpu() - used) / 1e3;
    double wall = (System.nanoTime() - start) / 1e3;
    measuring = false;
    stopped = true;
    double resident = Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * 4096 / 1e6;
    for (Task task : all) task.join();
    long closing = System.nanoTime();
    source.close();
    double closed = (System.nanoTime() - closing) / 1e6;
    long[] waits = Arrays.stream(all).flatMapToLong(task -> Arrays.stream(task.waits, 0, task.timedCount)).sorted().toArray();
    double mean = Arrays.stream(waits).average().orElse(0) / 1e3;
    System.out.printf(Locale.ROOT,
        "{\"peer\": \"HikariCP\", \"mode\": \"%s\", \"tasks\": %d, \"pool\": %d, \"ops_s\": %f, \"us_op\": %f, "
            + "\"cpu_us_op\": %f, \"wait_mean_us\": %f, \"wait_p50_us\": %f, \"wait_p99_us\": %f, \"wait_p999_us\": %f, "
            + "\"startup_ms\": %f, \"close_ms\": %f, \"rss_mb\": %f}%n",
        mode, tasks, size, ops / wall * 1e6, wall / ops, spent / ops, mean, at(waits, 0.5), at(waits, 0.99),
        at(waits, 0.999), startup, closed, resident);
  }

  static double at(long[] waits, double share) {
    return waits.length == 0 ? 0 : waits[(int) (share * (waits.length - 1))] / 1e3;
  }
}
