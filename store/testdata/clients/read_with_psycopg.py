import psycopg

with psycopg.connect() as connection:
    for status, begins, ends, current in connection.execute(
            "SELECT status, valid_from, valid_to, is_current FROM partner_center.device_batch_history ORDER BY valid_from"):
        print(status, int(begins.timestamp()), int(ends.timestamp()) if ends else "null", str(current).lower())
