D=$(mktemp -d); chmod 755 $D; chown mysql $D
mariadb-install-db --no-defaults --user=mysql --datadir=$D/data --auth-root-authentication-method=normal >/dev/null 2>&1
mariadbd --no-defaults --user=mysql --datadir=$D/data --socket=$D/s --port=33306 --bind-address=127.0.0.1 2>/dev/null & P=$!
for i in $(seq 50); do [ -S $D/s ] && break; sleep 0.2; done
mariadb --no-defaults --socket=$D/s -e "CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'shop'; CREATE DATABASE shop; GRANT ALL ON shop.* TO shop@'127.0.0.1'"
touch $D/ready
mariadb --no-defaults -h 127.0.0.1 -P 33306 -u shop -pshop --skip-ssl shop <<'Q'
CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8,2));
INSERT INTO items VALUES (1,'teapot',12.50),(2,'cup',3.20),(3,'spoon',1.10);
SELECT id, name, price FROM items WHERE price < 5 ORDER BY id;
SELECT COUNT(*) FROM items;
SELECT nothing FROM items;
PREPARE q FROM 'SELECT name FROM items WHERE id = ?';
SET @id = 2;
EXECUTE q USING @id;
UPDATE items SET price = price + 1 WHERE id = 1;
Q
mariadb-admin --no-defaults --socket=$D/s shutdown; wait $P; rm -rf $D
