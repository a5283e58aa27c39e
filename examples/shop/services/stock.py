"""stock: Python's own threaded HTTP server, with nothing that instruments it. Looks into MariaDB."""
import os
import queue
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pymysql

CONNECTIONS = 8


def connect():
    return pymysql.connect(
        host=os.environ["DB_HOST"], user="shop", password="shop", database="shop", autocommit=True
    )


pool = queue.Queue()
for _ in range(CONNECTIONS):
    pool.put(connect())


class Stock(BaseHTTPRequestHandler):
    def do_GET(self):
        item = self.path.rsplit("/", 1)[-1]
        connection = pool.get()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT quantity FROM stock WHERE item = %s", (item,))
                row = cursor.fetchone()
        finally:
            pool.put(connection)
        body = str(row[0] if row else 0).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("0.0.0.0", 8083), Stock).serve_forever()
