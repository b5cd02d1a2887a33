-- Eight tables of text, as `bench.rows` says: the smallest has so many rows, the largest eight times as many. Words of a mail-order
-- shop's letters, in phrases that come again.
CREATE TEMP TABLE words AS SELECT string_to_array('the of and order we for your have been delivery not yet parcel was with returned this customer thank you please find invoice that payment from warehouse received address our could item is colour size wrong would like to exchange it next week because phone number call back morning driver neighbour left door damaged box picture attached refund account bank days late again sorry', ' ') AS list;
CREATE TEMP TABLE phrases AS
  SELECT n, (SELECT string_agg(list[1 + (hashint4(n * 31 + w) & 63)], ' ') FROM generate_series(1, 22) AS w) AS text
  FROM generate_series(0, 249) AS n, words;
DO $$
BEGIN
  FOR part IN 1..8 LOOP
    EXECUTE format('CREATE TABLE letters_%s AS
      SELECT i AS id, i * 37 %% 9973 AS customer, md5(i::text) AS reference, timestamptz ''2026-01-01'' + i * interval ''7 seconds'' AS written_at,
             a.text || ''; '' || left(b.text, 40 + i %% 60) AS body
      FROM generate_series(1, current_setting(''bench.rows'')::numeric::integer * %s) AS i
      JOIN phrases AS a ON a.n = (hashint4(i) & 65535) %% 250 JOIN phrases AS b ON b.n = (hashint4(-i) & 65535) %% 250', part, part);
  END LOOP;
END
$$;
