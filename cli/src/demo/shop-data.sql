-- The demo's shop, 2 of 3: the rows. Every value follows from its row number; the shop's today is 2026-06-30.
SET TimeZone = 'UTC';

INSERT INTO shop.countries VALUES
  ('AT', 'Austria', 20), ('BE', 'Belgium', 21), ('CH', 'Switzerland', 8.1), ('CZ', 'Czechia', 21), ('DE', 'Germany', 19), ('DK', 'Denmark', 25), ('ES', 'Spain', 21),
  ('FI', 'Finland', 25.5), ('FR', 'France', 20), ('GB', 'United Kingdom', 20), ('IE', 'Ireland', 23), ('IT', 'Italy', 22), ('NL', 'Netherlands', 21), ('NO', 'Norway', 25),
  ('PL', 'Poland', 23), ('PT', 'Portugal', 23), ('SE', 'Sweden', 25);

INSERT INTO shop.warehouses VALUES
  (1, 'Rotterdam', 'NL', '(51.92,4.48)'), (2, 'Leipzig', 'DE', '(51.34,12.37)'), (3, 'Lyon', 'FR', '(45.76,4.84)'), (4, 'Malmö', 'SE', '(55.60,13.00)');

INSERT INTO shop.suppliers (id, name, country, email, lead_days)
SELECT id,
  shop.word(id, 1, '{Nordlicht,Atlas,Brightwater,Kestrel,Meridian,Oakfield,Polar,Quarry,Riverside,Solberg,Tamarind,Umbra,Vesper,Willow,Zephyr,Fjord}') || ' '
    || shop.word(id, 2, '{Trading,Works,Manufaktur,& Sons,Industries,Supply,Goods,Atelier}') || ' ' || shop.word(id, 3, '{GmbH,Ltd,SARL,BV,AB,SpA,SA}'),
  shop.word(id, 4, '{DE,FR,NL,SE,IT,PL,CZ,PT}'), 'orders@supplier-' || id || '.example', 1 + shop.pick(id, 5, 45)
FROM generate_series(1, shop.scaled(400)) id;

-- A tree of three levels: 8 + 40 + 120.
INSERT INTO shop.categories (id, parent_id, name, slug)
SELECT n, NULL, name, lower(replace(name, ' ', '-'))
FROM unnest('{Kitchen,Garden,Office,Outdoor,Bathroom,Living room,Workshop,Children}'::text[]) WITH ORDINALITY AS t(name, n);
INSERT INTO shop.categories (id, parent_id, name, slug)
SELECT 8 + (c.id - 1) * 5 + n, c.id, c.name || ' ' || t.name, c.slug || '-' || t.name
FROM shop.categories c, unnest('{storage,lighting,textiles,tools,furniture}'::text[]) WITH ORDINALITY AS t(name, n) WHERE c.id <= 8;
INSERT INTO shop.categories (id, parent_id, name, slug)
SELECT 48 + (c.id - 9) * 3 + n, c.id, c.name || ', ' || t.name, c.slug || '-' || t.name
FROM shop.categories c, unnest('{basic,premium,sale}'::text[]) WITH ORDINALITY AS t(name, n) WHERE c.id BETWEEN 9 AND 48;

WITH made AS MATERIALIZED (
  SELECT id,
    shop.word(id, 1, '{Foldable,Compact,Heavy-duty,Classic,Handmade,Waterproof,Adjustable,Lightweight,Vintage,Ergonomic,Stackable,Insulated,Rustic,Modern,Portable,Modular}') AS adjective,
    shop.word(id, 2, '{oak,steel,bamboo,cotton,ceramic,glass,linen,aluminium,leather,cork,wool,copper,granite,walnut,rattan,canvas}') AS material,
    shop.word(id, 3, '{lamp,shelf,basket,bench,kettle,blanket,desk,stool,tray,planter,toolbox,mirror,jug,hammock,clock,ladder,cushion,cabinet,lantern,rug,hook rail,bread bin,watering can,folding chair}') AS noun,
    shop.word(id, 4, '{anthracite,sand,forest green,sky blue,natural,white,black,brick red,mustard,rosé}') AS colour,
    3 + power(shop.pick(id, 5, 1000) / 1000.0, 3) * 500 AS raw_price
  FROM generate_series(1, shop.scaled(20000)) id
), n AS MATERIALIZED (SELECT shop.scaled(400) AS suppliers)
INSERT INTO shop.products (id, sku, category_id, supplier_id, name, description, attributes, price, cost, active, created_at, updated_at)
SELECT id, upper(left(noun, 3)) || '-' || shop.padded(id, 6), 49 + shop.pick(id, 6, 120), 1 + shop.pick(id, 7, suppliers),
  adjective || ' ' || material || ' ' || noun || ', ' || colour,
  adjective || ' ' || noun || ' made of ' || material || '. '
    || shop.word(id, 8, ARRAY['Built to last and easy to repair.', 'A favourite of our customers since the first season.', 'Designed in a small studio and made in short runs.', 'Does one thing, and does it well.', 'Looks good in a hallway, better on a balcony.', 'Arrives assembled; no tools are needed.']) || ' '
    || shop.word(id, 9, ARRAY['Wipe with a damp cloth.', 'Machine washable at 30 °C.', 'Oil it once a year.', 'Keep away from open flames.', 'Not suitable for the dishwasher.', 'Spare parts can be ordered for at least ten years.', 'Weatherproof down to –20 °C.']) || ' '
    || CASE WHEN shop.pick(id, 10, 3) = 0 THEN 'Part of the ' || shop.word(id, 11, '{Hamnskär,Lindau,Calanque,Pembroke,Tatry,Dolomiti}') || ' series: '
         || shop.word(id, 12, ARRAY['matching pieces are sold one by one.', 'mix and match as you like.', 'limited to ' || 100 + shop.pick(id, 13, 900) || ' pieces.']) ELSE '' END,
  jsonb_build_object('colour', colour, 'material', material, 'weight_g', 50 + shop.pick(id, 14, 20000),
      'size_mm', jsonb_build_object('w', 20 + shop.pick(id, 15, 1500), 'h', 20 + shop.pick(id, 16, 1500), 'd', 10 + shop.pick(id, 17, 800)),
      'tags', jsonb_build_array(material, noun, shop.word(id, 18, '{gift,new,bestseller,eco,outlet}')), 'fsc', shop.pick(id, 19, 2) = 1)
    || CASE WHEN shop.pick(id, 20, 4) = 0 THEN jsonb_build_object('warranty_months', 12 * (1 + shop.pick(id, 21, 5))) ELSE '{}' END,
  floor(raw_price) + 0.95, round((raw_price * (0.4 + shop.pick(id, 22, 30) / 100.0))::numeric, 2), shop.pick(id, 23, 25) > 0,
  timestamptz '2024-01-08 08:00+00' + shop.pick(id, 24, 500 * 86400) * interval '1 second', timestamptz '2025-06-01 08:00+00' + shop.pick(id, 25, 390 * 86400) * interval '1 second'
FROM made, n;

INSERT INTO shop.inventory
SELECT p.id, w, shop.pick(p.id * 10 + w, 30, 400), 5 + shop.pick(p.id, 31, 40),
  chr(65 + shop.pick(p.id * 10 + w, 32, 26)) || '-' || lpad(shop.pick(p.id * 10 + w, 33, 100)::text, 2, '0') || '-' || shop.pick(p.id, 34, 8), date '2026-06-30' - shop.pick(p.id * 10 + w, 35, 180)
FROM shop.products p, generate_series(1, 4) w WHERE (p.id + w) % 2 = 0;

WITH made AS MATERIALIZED (
  SELECT id,
    shop.word(id, 40, '{Anna,Ben,Chloé,David,Elif,Finn,Giulia,Håkon,Ines,Jan,Katarzyna,Liam,Marie,Noah,Olivia,Paweł,Quentin,Rosa,Søren,Tereza,Uwe,Vera,Willem,Xenia,Yusuf,Zoë,Emma,Luca,Mia,Hugo,Alma,Oskar,Nora,Émile,Lotte,Matteo,Freya,Bjørn,Amélie,Jakub}') AS first_name,
    shop.word(id, 41, '{Müller,Dubois,Rossi,Jansen,Novák,Kowalski,García,Silva,Andersson,Hansen,Korhonen,Murphy,Smith,Weber,Moreau,Ferrari,de Vries,Svoboda,Nowak,Martínez,Santos,Lindqvist,Nielsen,Virtanen,O''Brien,Taylor,Schröder,Lefèvre,Bianchi,van den Berg,Dvořák,Wiśniewska,López,Ferreira,Öberg,Kjær,Mäkinen,Walsh,Evans,Zimmermann}') AS last_name
  FROM generate_series(1::bigint, shop.scaled(60000)) id
)
INSERT INTO shop.customers (id, email, first_name, last_name, phone, born_on, newsletter, note, created_at, updated_at)
SELECT id,
  regexp_replace(translate(lower(first_name || '.' || last_name), 'éåłøöüñóšřžýíáãçèäëîúæ ''', 'ealooounosrzyiaaceaeiua'), '[^a-z.]', '', 'g') || id || '@' || shop.word(id, 42, '{mail,post,inbox,letters,home}') || '.example',
  first_name, last_name, CASE WHEN shop.pick(id, 43, 3) > 0 THEN '+49 30 ' || lpad(shop.pick(id, 44, 10000000)::text, 7, '0') END,
  CASE WHEN shop.pick(id, 45, 4) > 0 THEN date '1940-01-01' + shop.pick(id, 46, 24000) END, shop.pick(id, 47, 5) < 2,
  CASE WHEN shop.pick(id, 48, 20) = 0 THEN shop.word(id, 49, ARRAY['Please ring twice.', E'Leave parcels with the neighbour,\nsecond floor.', 'Prefers invoices on paper.', 'Complained in 2025; was given a voucher.', E'Gate code: C:\\4711']) END,
  timestamptz '2023-01-01 00:00+00' + shop.pick(id, 50, 900 * 86400) * interval '1 second', timestamptz '2025-07-01 00:00+00' + shop.pick(id, 51, 360 * 86400) * interval '1 second'
FROM made;

-- One address each, and a second one for every fourth customer: the first has the customer's own number.
WITH n AS MATERIALIZED (SELECT shop.scaled(60000) AS customers)
INSERT INTO shop.addresses (id, customer_id, kind, street, postcode, city, country)
SELECT id, CASE WHEN id <= customers THEN id ELSE (id - customers) * 4 END, CASE WHEN id <= customers THEN 'home' ELSE shop.word(id, 60, '{work,pick-up}') END,
  shop.word(id, 61, '{Linden,Kirch,Bahnhof,Garten,Mühlen,Schul,Ring,Hafen,Berg,Rosen}') || shop.word(id, 62, '{straße,weg,allee,platz,gasse}') || ' ' || 1 + shop.pick(id, 63, 180) || shop.word(id, 64, ARRAY['', '', '', 'a', 'b']),
  lpad((1000 + shop.pick(id, 65, 98000))::text, 5, '0'), substr(place, 4), left(place, 2)
FROM n, generate_series(1::bigint, n.customers + n.customers / 4) id,
  LATERAL (SELECT shop.word(id, 66, '{DE Berlin,FR Lyon,PT Porto,BE Gent,CZ Brno,PL Kraków,SE Malmö,AT Graz,NL Utrecht,NO Bergen,IT Torino,DK Aarhus,IE Cork,GB Leeds,ES Sevilla,FI Tampere,CH Basel,DE Köln,FR Nantes,SE Göteborg,DE Bremen}') AS place) AS town;

INSERT INTO shop.coupons
SELECT shop.word(id, 70, '{SUMMER,WINTER,HELLO,THANKS,FRIENDS}') || shop.padded(id, 4), 5 * (1 + shop.pick(id, 71, 6)),
  daterange(date '2025-06-01' + shop.pick(id, 72, 300), date '2026-07-01' + shop.pick(id, 73, 60)), CASE WHEN shop.pick(id, 74, 2) = 0 THEN 100 * (1 + shop.pick(id, 75, 9)) END
FROM generate_series(1, shop.scaled(500)) id;

-- A year of orders, their numbers growing with time; 1 to 5 lines each.
WITH n AS MATERIALIZED (SELECT shop.scaled(120000) AS orders, shop.scaled(20000) AS products),
head AS (
  SELECT id, products, timestamptz '2025-07-01 00:00+00' + (id * 31440000 / orders + shop.pick(id, 80, 9000)) * interval '1 second' AS ordered_at,
    CASE WHEN d < 40 THEN 1 WHEN d < 70 THEN 2 WHEN d < 85 THEN 3 WHEN d < 95 THEN 4 ELSE 5 END AS lines
  FROM (SELECT n.*, id, shop.pick(id, 81, 100) AS d FROM n, generate_series(1::bigint, n.orders) id) AS numbered
), line AS (
  SELECT id, ordered_at, l, 1 + (shop.pick(id * 8 + l, 82, products)::bigint * shop.pick(id * 8 + l, 83, products) / products)::integer AS product_id
  FROM head, generate_series(1, head.lines) l
)
INSERT INTO shop.order_items
SELECT line.id, ordered_at, l, product_id, 1 + shop.pick(line.id * 8 + l, 84, 10) / 6 + shop.pick(line.id * 8 + l, 85, 30) / 28, p.price
FROM line JOIN shop.products p ON p.id = product_id ORDER BY line.id, l;

WITH n AS MATERIALIZED (SELECT shop.scaled(60000) AS customers, shop.scaled(500) AS coupons),
head AS (
  SELECT order_id AS id, ordered_at, sum(quantity * unit_price) AS items_total, 1 + shop.pick(order_id, 90, customers) AS customer_id,
    shop.pick(order_id, 91, 12) = 0 AS with_coupon, 1 + shop.pick(order_id, 92, coupons) AS coupon_no, shop.pick(order_id, 93, 100) AS d
  FROM shop.order_items, n GROUP BY order_id, ordered_at, customers, coupons
)
INSERT INTO shop.orders
SELECT id, customer_id, customer_id,
  CASE WHEN d < 4 THEN 'cancelled' WHEN ordered_at > '2026-06-29' THEN 'pending' WHEN ordered_at > '2026-06-28' THEN 'paid' WHEN ordered_at > '2026-06-27' THEN 'packed'
    WHEN ordered_at > '2026-06-22' THEN 'shipped' WHEN d > 94 THEN 'returned' ELSE 'delivered' END::shop.order_status,
  c.code, items_total, coalesce(round(items_total * c.percent / 100, 2), 0), CASE WHEN items_total > 80 THEN 0 ELSE 4.95 END,
  items_total - coalesce(round(items_total * c.percent / 100, 2), 0) + CASE WHEN items_total > 80 THEN 0 ELSE 4.95 END,
  202500000 + id, ordered_at, ordered_at + shop.pick(id, 94, 172800) * interval '1 second'
FROM head LEFT JOIN shop.coupons c ON with_coupon AND c.code = shop.word(coupon_no, 70, '{SUMMER,WINTER,HELLO,THANKS,FRIENDS}') || shop.padded(coupon_no, 4)
ORDER BY id;

INSERT INTO shop.payments (id, order_id, ordered_at, method, amount, reference, paid_at)
SELECT id, id, ordered_at, (enum_range(NULL::shop.payment_method))[1 + shop.pick(id, 100, 10) * shop.pick(id, 101, 10) / 20], total, md5('payment ' || id)::uuid,
  ordered_at + shop.pick(id, 102, 86400) * interval '1 second'
FROM shop.orders WHERE status NOT IN ('pending', 'cancelled') ORDER BY id;

INSERT INTO shop.shipments (id, order_id, ordered_at, warehouse_id, carrier, tracking, weight_g, shipped_at, delivered_at)
SELECT id, id, ordered_at, 1 + shop.pick(id, 110, 4), shop.word(id, 111, '{DHL,UPS,GLS,PostNord,La Poste}'), upper(left(md5('parcel ' || id), 14)), 200 + shop.pick(id, 112, 15000), shipped_at,
  CASE WHEN status <> 'shipped' THEN shipped_at + (86400 + shop.pick(id, 113, 259200)) * interval '1 second' END
FROM (SELECT o.*, ordered_at + (90000 + shop.pick(id, 114, 86400)) * interval '1 second' AS shipped_at FROM shop.orders o) AS o
WHERE status IN ('shipped', 'delivered', 'returned') ORDER BY id;

WITH n AS MATERIALIZED (SELECT shop.scaled(80000) AS reviews, shop.scaled(20000) AS products, shop.scaled(60000) AS customers),
made AS (
  SELECT id, 1 + shop.pick(id, 120, products) AS product_id, 1 + shop.pick(id, 121, customers) AS customer_id,
    CASE WHEN d < 45 THEN 5 WHEN d < 70 THEN 4 WHEN d < 82 THEN 3 WHEN d < 91 THEN 2 ELSE 1 END AS stars
  FROM (SELECT n.*, id, shop.pick(id, 122, 100) AS d FROM n, generate_series(1::bigint, n.reviews) id) AS numbered
)
INSERT INTO shop.reviews (id, product_id, customer_id, stars, title, body, written_at)
SELECT id, product_id, customer_id, stars,
  CASE WHEN shop.pick(id, 123, 5) > 0 THEN shop.word(id, 124, CASE WHEN stars >= 4 THEN '{Lovely,Would buy again,Exactly as described,A small wonder,Très bien,Sehr gut}' WHEN stars = 3 THEN '{It is fine,Neither here nor there,Ça va,Geht so}' ELSE '{Disappointing,Broke after a week,Not as pictured,Never again}' END::text[]) END,
  shop.word(id, 125, CASE
    WHEN stars >= 4 THEN ARRAY['I was sceptical at first, but it has become the thing I use every day.', 'Bought it for my mother, then a second one for myself.', 'The finish is better than on pieces that cost three times as much.', 'Three winters outside and still like new 😀', 'Came two days early and well packed.']
    WHEN stars = 3 THEN ARRAY['Does its job, though the colour is darker than in the picture.', 'Fine for the price; I expected a little more.', 'One screw was missing, and the shop sent it at once.']
    ELSE ARRAY['The hinge gave up after a week.', 'Smells of glue, even after a month on the balcony.', E'I wrote twice and got no answer.\nStill waiting.', 'Half the size I imagined, and yes, I should have measured.'] END)
  || ' ' || shop.word(id, 126, ARRAY['My flat is small and every centimetre counts.', 'We are a family of five, so it has to endure a lot.', 'The cat has an opinion of its own.', 'Assembly took ' || 5 + shop.pick(id, 127, 90) || ' minutes.', 'Delivered to the ' || 2 + shop.pick(id, 128, 8) || 'th floor without a word of complaint.', 'I measured: it is off by ' || 1 + shop.pick(id, 129, 9) || ' mm.'])
  || CASE WHEN shop.pick(id, 130, 3) = 0 THEN E'\n' || shop.word(id, 131, ARRAY['Tip: order the matching set right away.', 'PS: the box makes a fine doll''s house.', 'Edit after six months: no change of mind.', 'The manual says "tighten gently"; believe it.']) ELSE '' END,
  timestamptz '2025-07-10 00:00+00' + shop.pick(id, 132, 350 * 86400) * interval '1 second'
FROM made;

WITH n AS MATERIALIZED (SELECT shop.scaled(100000) AS sessions, shop.scaled(60000) AS customers)
INSERT INTO shop.sessions
SELECT md5('session ' || id)::uuid, CASE WHEN shop.pick(id, 140, 3) > 0 THEN 1 + shop.pick(id, 141, customers) END,
  CASE WHEN shop.pick(id, 142, 6) = 0 THEN ('2001:db8:' || to_hex(shop.pick(id, 143, 65536)) || '::' || to_hex(shop.pick(id, 144, 65536)))::inet ELSE '10.0.0.0'::inet + shop.pick(id, 145, 16777216) END,
  shop.word(id, 146, ARRAY['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:', 'Mozilla/5.0 (X11; Linux x86_64; rv:', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:', 'Mozilla/5.0 (Android 15; Mobile; rv:']) || 120 + shop.pick(id, 147, 30) || '.0) Gecko/20100101 Firefox/' || 120 + shop.pick(id, 147, 30) || '.0',
  started_at, CASE WHEN shop.pick(id, 148, 8) > 0 THEN started_at + shop.pick(id, 149, 3600) * interval '1 second' END
FROM (SELECT n.*, id, timestamptz '2026-04-01 00:00+00' + (id * 7776000 / sessions + shop.pick(id, 150, 600)) * interval '1 second' AS started_at FROM n, generate_series(1::bigint, n.sessions) id) AS numbered;

WITH n AS MATERIALIZED (SELECT shop.scaled(150000) AS events, shop.scaled(100000) AS sessions, shop.scaled(20000) AS products)
INSERT INTO shop.events (id, session_id, kind, payload, happened_at)
SELECT id, md5('session ' || session)::uuid, kind,
  CASE kind
    WHEN 'search' THEN jsonb_build_object('query', shop.word(id, 160, '{lamp,oak shelf,garden bench,présent,rug 200x300,steel kettle,hängematte}'), 'results', shop.pick(id, 161, 300))
    WHEN 'error' THEN jsonb_build_object('status', (ARRAY[404, 404, 500, 503])[1 + shop.pick(id, 162, 4)], 'trace', md5(id::text))
    ELSE jsonb_build_object('product', 1 + shop.pick(id, 163, products), 'price', round(shop.pick(id, 164, 50000) / 100.0, 2)) END
  || jsonb_build_object('path', '/' || kind || '/' || shop.pick(id, 165, products), 'ms', 3 + shop.pick(id, 166, 400))
  || CASE WHEN shop.pick(id, 167, 3) = 0 THEN jsonb_build_object('referrer', 'https://' || shop.word(id, 168, '{search,news,blog,friends}') || '.example/' || md5((id % 500)::text)) ELSE '{}' END,
  timestamptz '2026-04-01 00:10+00' + (session::bigint * 7776000 / sessions + shop.pick(id, 169, 3000)) * interval '1 second'
FROM (SELECT n.*, id, 1 + (id * sessions / (events + 1))::integer AS session, shop.word(id, 170, '{view,view,view,view,view,search,search,basket,basket,checkout,error}') AS kind FROM n, generate_series(1::bigint, n.events) id) AS numbered;

INSERT INTO shop.audit_log (id, table_name, row_id, action, changed, changed_by, changed_at)
SELECT id, shop.word(id, 180, '{products,products,orders}'), 1 + shop.pick(id, 181, 1000), 'UPDATE',
  jsonb_build_object('price', jsonb_build_array(round(shop.pick(id, 182, 50000) / 100.0, 2), round(shop.pick(id, 183, 50000) / 100.0, 2))), shop.word(id, 184, '{web,import,support}'),
  timestamptz '2026-01-01 00:00+00' + id * interval '500 seconds'
FROM generate_series(1::bigint, shop.scaled(30000)) id;

-- A picture of about 1 MB as a large object of the current user: a BMP file showing a lifebuoy on the sea.
WITH size AS MATERIALIZED (SELECT 4 * (shop.scaled(150 * 150) ^ 0.5)::integer AS side),
row_of_pixels AS (
  SELECT y, string_agg(lpad(to_hex(CASE
      WHEN r BETWEEN 0.25 AND 0.42 AND (abs(u) < 0.08 OR abs(v) < 0.08) THEN 15790320
      WHEN r BETWEEN 0.25 AND 0.42 THEN 2631900 + 65793 * shop.pick(y * 4096 + x, 190, 12)
      ELSE 9461760 + (v * 100)::integer * 256 + 65793 * shop.pick(y * 4096 + x, 191, 20) END), 6, '0'), '' ORDER BY x) AS pixels
  FROM size, generate_series(0::bigint, side - 1) y, generate_series(0, side - 1) x,
    LATERAL (SELECT x / side::float8 - 0.5 AS u, y / side::float8 - 0.5 AS v) AS place, LATERAL (SELECT sqrt(u * u + v * v) AS r) AS distance
  GROUP BY y
), file AS (
  SELECT decode('424d' || shop.little_endian(54 + 3 * side * side) || '00000000' || shop.little_endian(54) || shop.little_endian(40) || shop.little_endian(side) || shop.little_endian(side) || '01001800' || shop.little_endian(0) || shop.little_endian(3 * side * side) || shop.little_endian(2835) || shop.little_endian(2835) || shop.little_endian(0) || shop.little_endian(0) || body, 'hex') AS bytes
  FROM size, (SELECT string_agg(pixels, '' ORDER BY y) AS body FROM row_of_pixels) AS p
)
INSERT INTO shop.product_pictures SELECT 1, lo_from_bytea(0, bytes), 'image/bmp' FROM file;
