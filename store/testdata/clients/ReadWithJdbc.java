import java.sql.DriverManager;
import java.time.OffsetDateTime;

class ReadWithJdbc {
    public static void main(String[] args) throws Exception {
        var env = System.getenv();
        var url = "jdbc:postgresql://" + env.get("PGHOST") + ":" + env.get("PGPORT") + "/" + env.get("PGDATABASE");
        try (var connection = DriverManager.getConnection(url, env.get("PGUSER"), "");
             var rows = connection.createStatement().executeQuery(
                 "SELECT status, valid_from, valid_to, is_current FROM partner_center.device_batch_history ORDER BY valid_from")) {
            while (rows.next()) {
                var ends = rows.getObject(3, OffsetDateTime.class);
                // What most programs call gives the year 292278994 for infinity.
                if ((rows.getTimestamp(3) == null) != (ends == null)) throw new AssertionError(rows.getTimestamp(3));
                System.out.println(rows.getString(1) + " " + rows.getObject(2, OffsetDateTime.class).toEpochSecond() + " "
                    + (ends == null ? "null" : ends.toEpochSecond()) + " " + rows.getBoolean(4));
            }
        }
    }
}
