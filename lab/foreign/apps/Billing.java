// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;

/** Writes invoices, from MariaDB. Nothing in it knows of OpenTelemetry. */
public class Billing {
  interface Answer {
    String to(HttpExchange exchange) throws Exception;
  }

  static final List<byte[]> cached = new ArrayList<>();
  static HikariDataSource pool;

  public static void main(String[] args) throws Exception {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl("jdbc:mariadb://mariadb:3306/shop?connectTimeout=2000&socketTimeout=8000");
    config.setUsername("shop");
    config.setPassword("shop");
    config.setMaximumPoolSize(5);
    config.setConnectionTimeout(2000);
    config.setInitializationFailTimeout(-1);
    pool = new HikariDataSource(config);
    HttpServer server = HttpServer.create(new InetSocketAddress(8080), 128);
    server.setExecutor(Executors.newFixedThreadPool(16));
    serve(server, "/healthz", exchange -> "ok");
    serve(server, "/invoice", exchange -> {
      if (Files.exists(Path.of(System.getenv("BILLING_CACHE")))) {
        cached.add(new byte[4 << 20]);
      }
      return query("SELECT total FROM invoices WHERE id = ?", exchange.getRequestURI().getQuery().hashCode() & 63);
    });
    serve(server, "/report", exchange -> query("SELECT SUM(total) + SLEEP(4) FROM invoices WHERE id < ?", 2));
    serve(server, "/export", exchange -> {
      String last = "";
      for (int page = 0; page < 20; page++) {
        last = query("SELECT SUM(total) + SLEEP(0.3) FROM invoices WHERE id < ?", 2);
      }
      return last;
    });
    serve(server, "/advice", exchange -> query("SELECT SLEEP(? / 100) FROM invoices WHERE id = 1",
        (exchange.getRequestURI().getQuery().hashCode() & 127) + 20));
    serve(server, "/settle", exchange -> settle(exchange.getRequestURI().getQuery().hashCode()));
    server.start();
  }

  static String query(String sql, int argument) throws Exception {
    try (var connection = pool.getConnection(); PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setInt(1, argument);
      try (ResultSet rows = statement.executeQuery()) {
        return rows.next() ? "total " + rows.getString(1) : "none";
      }
    }
  }

  /** Two rows in any order: whoever is in another's way begins anew. */
  static String settle(int number) throws Exception {
    for (int left = 5;; left--) {
      try (var connection = pool.getConnection()) {
        connection.setAutoCommit(false);
        try (var statement = connection.createStatement()) {
          statement.executeUpdate("UPDATE balances SET total = total + 1 WHERE id = " + (number & 1));
          Thread.sleep(120);
          statement.executeUpdate("UPDATE balances SET total = total - 1 WHERE id = " + (1 - (number & 1)));
          connection.commit();
          return "settled";
        } catch (SQLException e) {
          connection.rollback();
          if (e.getErrorCode() != 1213 || left == 0) {
            throw e;
          }
        }
      }
    }
  }

  static void serve(HttpServer server, String path, Answer answer) {
    server.createContext(path, exchange -> {
      int status = 200;
      String body;
      try {
        body = answer.to(exchange);
      } catch (Exception e) {
        System.err.println("ERROR " + path + ": " + e);
        status = 500;
        body = e.toString();
      }
      respond(exchange, status, body + "\n");
    });
  }

  static void respond(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes();
    exchange.sendResponseHeaders(status, bytes.length);
    try (var out = exchange.getResponseBody()) {
      out.write(bytes);
    }
  }
}
