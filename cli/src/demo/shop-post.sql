-- The demo's shop, 3 of 3: keys, indexes, triggers, views, and what of the loading is no longer needed.
DROP FUNCTION shop.pick(bigint, integer, bigint), shop.word(bigint, integer, text[]), shop.scaled(integer), shop.padded(bigint, integer), shop.little_endian(integer);

SELECT setval(pg_get_serial_sequence('shop.' || name, 'id'), greatest(n, 1)) FROM (
  SELECT 'suppliers' AS name, max(id)::bigint AS n FROM shop.suppliers UNION ALL SELECT 'categories', max(id) FROM shop.categories UNION ALL SELECT 'products', max(id) FROM shop.products
  UNION ALL SELECT 'customers', max(id) FROM shop.customers UNION ALL SELECT 'addresses', max(id) FROM shop.addresses UNION ALL SELECT 'payments', max(id) FROM shop.payments
  UNION ALL SELECT 'shipments', max(id) FROM shop.shipments UNION ALL SELECT 'reviews', max(id) FROM shop.reviews UNION ALL SELECT 'events', max(id) FROM shop.events
  UNION ALL SELECT 'audit_log', max(id) FROM shop.audit_log) AS last;
SELECT setval('shop.invoice_number', max(invoice_no)) FROM shop.orders;

ALTER TABLE shop.orders ADD PRIMARY KEY (id, ordered_at);
ALTER TABLE shop.order_items ADD PRIMARY KEY (order_id, line);
ALTER TABLE shop.inventory ADD PRIMARY KEY (product_id, warehouse_id);
ALTER TABLE shop.sessions ADD PRIMARY KEY (id);
ALTER TABLE shop.products ADD UNIQUE (sku);
CREATE UNIQUE INDEX customers_email ON shop.customers (lower(email));
CREATE INDEX customers_name ON shop.customers (last_name, first_name);
CREATE INDEX addresses_customer ON shop.addresses (customer_id);
CREATE INDEX products_category ON shop.products (category_id) WHERE active;
CREATE INDEX products_search ON shop.products USING gin (search);
CREATE INDEX products_attributes ON shop.products USING gin (attributes jsonb_path_ops);
CREATE INDEX inventory_low ON shop.inventory (warehouse_id, product_id) WHERE quantity <= reorder_at;
CREATE INDEX orders_customer ON shop.orders (customer_id, ordered_at DESC);
CREATE INDEX orders_open ON shop.orders (ordered_at) WHERE status IN ('pending', 'paid', 'packed');
CREATE INDEX order_items_product ON shop.order_items (product_id);
CREATE INDEX payments_order ON shop.payments (order_id);
CREATE INDEX shipments_order ON shop.shipments (order_id);
CREATE INDEX reviews_product ON shop.reviews (product_id, stars);
CREATE INDEX sessions_customer ON shop.sessions (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX events_session ON shop.events (session_id);
CREATE INDEX events_time ON shop.events USING brin (happened_at);

ALTER TABLE shop.warehouses ADD FOREIGN KEY (country) REFERENCES shop.countries;
ALTER TABLE shop.suppliers ADD FOREIGN KEY (country) REFERENCES shop.countries;
ALTER TABLE shop.categories ADD FOREIGN KEY (parent_id) REFERENCES shop.categories;
ALTER TABLE shop.products ADD FOREIGN KEY (category_id) REFERENCES shop.categories, ADD FOREIGN KEY (supplier_id) REFERENCES shop.suppliers;
ALTER TABLE shop.product_pictures ADD FOREIGN KEY (product_id) REFERENCES shop.products ON DELETE CASCADE;
ALTER TABLE shop.inventory ADD FOREIGN KEY (product_id) REFERENCES shop.products ON DELETE CASCADE, ADD FOREIGN KEY (warehouse_id) REFERENCES shop.warehouses;
ALTER TABLE shop.addresses ADD FOREIGN KEY (customer_id) REFERENCES shop.customers ON DELETE CASCADE, ADD FOREIGN KEY (country) REFERENCES shop.countries;
ALTER TABLE shop.orders ADD FOREIGN KEY (customer_id) REFERENCES shop.customers, ADD FOREIGN KEY (address_id) REFERENCES shop.addresses, ADD FOREIGN KEY (coupon) REFERENCES shop.coupons;
ALTER TABLE shop.order_items ADD FOREIGN KEY (order_id, ordered_at) REFERENCES shop.orders ON DELETE CASCADE, ADD FOREIGN KEY (product_id) REFERENCES shop.products;
ALTER TABLE shop.payments ADD FOREIGN KEY (order_id, ordered_at) REFERENCES shop.orders;
ALTER TABLE shop.shipments ADD FOREIGN KEY (order_id, ordered_at) REFERENCES shop.orders, ADD FOREIGN KEY (warehouse_id) REFERENCES shop.warehouses;
ALTER TABLE shop.reviews ADD FOREIGN KEY (product_id) REFERENCES shop.products, ADD FOREIGN KEY (customer_id) REFERENCES shop.customers;
ALTER TABLE shop.sessions ADD FOREIGN KEY (customer_id) REFERENCES shop.customers ON DELETE SET NULL;
ALTER TABLE shop.events ADD FOREIGN KEY (session_id) REFERENCES shop.sessions;

CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$$;
CREATE FUNCTION shop.audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) ELSE '{}' END;
  new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) ELSE '{}' END;
BEGIN
  INSERT INTO shop.audit_log (table_name, row_id, action, changed)
  SELECT TG_TABLE_NAME, coalesce(new_row ->> 'id', old_row ->> 'id')::bigint, TG_OP, jsonb_object_agg(key, jsonb_build_array(old_row -> key, new_row -> key))
  FROM jsonb_object_keys(old_row || new_row) AS key
  WHERE old_row -> key IS DISTINCT FROM new_row -> key AND key <> 'search';
  RETURN NULL;
END
$$;
CREATE TRIGGER touch BEFORE UPDATE ON shop.products FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE TRIGGER touch BEFORE UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE TRIGGER touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON shop.products FOR EACH ROW EXECUTE FUNCTION shop.audit();
CREATE TRIGGER audit AFTER UPDATE OR DELETE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.audit();

CREATE VIEW shop.order_overview AS
  SELECT o.id, o.ordered_at, o.status, c.first_name || ' ' || c.last_name AS customer, a.city, a.country, o.total, p.method AS paid_by, s.carrier, s.delivered_at
  FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id JOIN shop.addresses a ON a.id = o.address_id
  LEFT JOIN shop.payments p ON p.order_id = o.id AND p.ordered_at = o.ordered_at LEFT JOIN shop.shipments s ON s.order_id = o.id AND s.ordered_at = o.ordered_at;
CREATE VIEW shop.category_paths AS
  WITH RECURSIVE path(id, path) AS (
    SELECT id, name FROM shop.categories WHERE parent_id IS NULL UNION ALL SELECT c.id, path.path || ' / ' || c.name FROM shop.categories c JOIN path ON c.parent_id = path.id
  )
  SELECT id, path FROM path;
CREATE MATERIALIZED VIEW shop.sales_by_month AS
  SELECT date_trunc('month', i.ordered_at AT TIME ZONE 'UTC')::date AS month, p.category_id, sum(i.quantity) AS pieces, sum(i.quantity * i.unit_price) AS revenue
  FROM shop.order_items i JOIN shop.products p ON p.id = i.product_id GROUP BY 1, 2;
CREATE UNIQUE INDEX sales_by_month_key ON shop.sales_by_month (month, category_id);

CREATE FUNCTION shop.stars_of(product integer) RETURNS numeric LANGUAGE sql STABLE
  BEGIN ATOMIC
    SELECT round(avg(stars), 1) FROM shop.reviews WHERE product_id = product;
  END;
CREATE FUNCTION shop.to_reorder(warehouse integer) RETURNS TABLE (product_id integer, name text, quantity integer, lead_days smallint) LANGUAGE sql STABLE AS $$
  SELECT p.id, p.name, i.quantity, s.lead_days FROM shop.inventory i JOIN shop.products p ON p.id = i.product_id JOIN shop.suppliers s ON s.id = p.supplier_id
  WHERE i.warehouse_id = warehouse AND i.quantity <= i.reorder_at AND p.active
$$;
CREATE PROCEDURE shop.ship(order_number bigint, by_carrier text) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO shop.shipments (order_id, ordered_at, warehouse_id, carrier, tracking, shipped_at)
  SELECT id, ordered_at, 1, by_carrier, upper(left(md5(id::text), 14)), now() FROM shop.orders WHERE id = order_number AND status = 'packed';
  UPDATE shop.orders SET status = 'shipped' WHERE id = order_number AND status = 'packed';
END
$$;

CREATE STATISTICS shop.address_place (dependencies) ON city, country FROM shop.addresses;
COMMENT ON TABLE shop.customers IS 'who buys; names and addresses are invented';
COMMENT ON VIEW shop.order_overview IS 'an order at a glance';
COMMENT ON MATERIALIZED VIEW shop.sales_by_month IS 'pieces and revenue by month and category';
COMMENT ON FUNCTION shop.to_reorder(integer) IS 'what runs low in a warehouse';
DO $$
BEGIN
  EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', (SELECT picture FROM shop.product_pictures WHERE product_id = 1), 'a lifebuoy, as BMP');
  EXECUTE (SELECT 'ANALYZE ' || string_agg(oid::regclass::text, ', ') FROM pg_catalog.pg_class
    WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p', 'm') AND NOT relispartition);
END
$$;
