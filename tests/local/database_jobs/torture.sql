-- A schema with one of everything that is known to get lost. Owned by several roles; loaded by the superuser.
CREATE ROLE reporting LOGIN PASSWORD 'reporting' CONNECTION LIMIT 3 VALID UNTIL '2031-05-06 07:08:09+00';
CREATE ROLE "Read Only" NOINHERIT;
CREATE ROLE "Ünï ""quoted""";
GRANT "Read Only" TO reporting;
GRANT reporting TO know_me WITH ADMIN OPTION;
GRANT pg_read_all_settings TO reporting;
COMMENT ON ROLE reporting IS 'people who count';
ALTER ROLE reporting SET statement_timeout = '5min';
ALTER ROLE reporting IN DATABASE :"database" SET search_path = "$user", "Mixed Case", public;
ALTER DATABASE :"database" SET timezone TO 'Europe/Vienna';
ALTER DATABASE :"database" SET search_path TO public, "Mixed Case";
ALTER DATABASE :"database" CONNECTION LIMIT 50;
COMMENT ON DATABASE :"database" IS 'everything there is';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO "Read Only", reporting;

CREATE SCHEMA "Mixed Case" AUTHORIZATION "Ünï ""quoted""";
CREATE SCHEMA archive AUTHORIZATION know_me;
COMMENT ON SCHEMA archive IS 'what is old';
GRANT USAGE ON SCHEMA "Mixed Case" TO reporting;
GRANT ALL ON SCHEMA "Mixed Case" TO know_me;
GRANT USAGE, CREATE ON SCHEMA archive TO know_me, "Read Only";

CREATE EXTENSION hstore WITH SCHEMA archive;
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION btree_gist;
CREATE EXTENSION pgcrypto;
COMMENT ON EXTENSION citext IS 'our own words';

SET ROLE know_me;
CREATE TYPE mood AS ENUM ('sad', 'so so', 'glad');
CREATE TYPE "Mixed Case"."Point ü" AS (x double precision, y double precision);
CREATE DOMAIN email AS public.citext CHECK (VALUE ~ '@') NOT NULL;
COMMENT ON DOMAIN email IS 'an address';
CREATE TYPE time_range AS RANGE (subtype = timestamptz);
CREATE SEQUENCE invoice_number START 1000 INCREMENT 7 MAXVALUE 1000000 CACHE 5 CYCLE;
SELECT setval('invoice_number', 2001, true);
CREATE SEQUENCE untouched START 42;
SELECT setval('untouched', 77, false);

CREATE TABLE person (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 10) PRIMARY KEY,
    number serial UNIQUE,
    email email,
    "Full Name ✓" text DEFAULT 'nobody' CHECK (length("Full Name ✓") < 200),
    mood mood DEFAULT 'so so',
    tags text[] NOT NULL DEFAULT '{}',
    attributes archive.hstore,
    document jsonb,
    born date,
    balance numeric(20, 4),
    ratio double precision,
    small real,
    photo bytea,
    token uuid DEFAULT public.uuid_generate_v4(),
    place "Mixed Case"."Point ü",
    seen timestamptz,
    local_time timestamp,
    pause interval,
    period time_range,
    address inet,
    money money,
    "row" text,
    lower_name text GENERATED ALWAYS AS (lower("Full Name ✓")) STORED
);
COMMENT ON TABLE person IS 'A person''s row; -- Name: spoof; Type: TABLE; Schema: x; Owner: y';
COMMENT ON COLUMN person.email IS 'unique enough';
INSERT INTO person (email, "Full Name ✓", mood, tags, attributes, document, born, balance, ratio, small, photo, token,
                    place, seen, local_time, pause, period, address, money, "row")
SELECT format('user%s@example.org', n), format('Name %s %s', n, chr(19968 + n)), (enum_range(NULL::mood))[1 + n % 3],
       ARRAY[n::text, NULL, 'a,b', '{"x"}'], archive.hstore('k' || n, n::text), jsonb_build_object('n', n, 'deep', jsonb_build_array(1, NULL, 'x')),
       CASE n % 5 WHEN 0 THEN '0044-03-15 BC'::date WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE '2000-02-29'::date + n END,
       CASE n % 7 WHEN 0 THEN 'NaN'::numeric ELSE n * 1.2345 END,
       CASE n % 6 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' ELSE 1.0 / n END::double precision,
       (1.0 / (n + 1))::real, decode(md5(n::text), 'hex'), md5(n::text)::uuid, ROW(n, -n / 3.0)::"Mixed Case"."Point ü",
       CASE n % 9 WHEN 0 THEN 'infinity' ELSE '2024-03-31 02:30:00.123456+01'::timestamptz + n * interval '1 hour' END,
       '2024-03-31 02:30:00'::timestamp, make_interval(months => n, secs => n + 0.000001),
       time_range('2020-01-01Z', '2020-01-02Z'::timestamptz + n * interval '1 day', '[)'),
       ('10.0.0.0'::inet + n), n * 1.5::numeric::money, CASE WHEN n % 2 = 0 THEN E'tab\tnew\nline\\back' END
FROM generate_series(1, 500) AS n;
DELETE FROM person WHERE number % 50 = 0;
ALTER TABLE person ADD dropped text;
ALTER TABLE person DROP dropped;
CREATE INDEX person_trigram ON person USING gin ("Full Name ✓" gin_trgm_ops);
CREATE UNIQUE INDEX person_lower ON person (lower(email::text), number DESC NULLS LAST) WHERE mood <> 'sad';
CREATE STATISTICS person_statistics (dependencies) ON mood, born FROM person;
ALTER TABLE person ALTER tags SET STATISTICS 500, ALTER photo SET STORAGE EXTERNAL;
ALTER TABLE person SET (fillfactor = 80, autovacuum_enabled = false);
ALTER TABLE person CLUSTER ON person_pkey;

CREATE TABLE booking (
    room int,
    during tstzrange,
    person bigint REFERENCES person ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&)
);
INSERT INTO booking SELECT n % 10, tstzrange(now() + n * interval '1 hour', now() + n * interval '1 hour 10 s'), 10 * n
FROM generate_series(1, 40) AS n;
ALTER TABLE booking ADD CONSTRAINT later CHECK (room < 100) NOT VALID;
ALTER TABLE booking REPLICA IDENTITY FULL;

CREATE TABLE event (id bigint, kind text, at date NOT NULL, payload text) PARTITION BY RANGE (at);
CREATE TABLE event_2023 PARTITION OF event FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') PARTITION BY LIST (kind);
CREATE TABLE event_2023_a PARTITION OF event_2023 FOR VALUES IN ('a', NULL);
CREATE TABLE event_2023_rest PARTITION OF event_2023 DEFAULT;
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);
CREATE TABLE event_2024_0 PARTITION OF event_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE event_2024_1 PARTITION OF event_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE event_other PARTITION OF event DEFAULT;
CREATE INDEX event_kind ON event (kind);
-- A key that refers to a partitioned table needs its index to be valid, and that needs the partitions' indexes attached.
CREATE TABLE season (year int PRIMARY KEY) PARTITION BY RANGE (year);
CREATE TABLE season_old PARTITION OF season FOR VALUES FROM (MINVALUE) TO (2020);
CREATE TABLE season_new PARTITION OF season FOR VALUES FROM (2020) TO (MAXVALUE) PARTITION BY LIST (year);
CREATE TABLE season_2024 PARTITION OF season_new FOR VALUES IN (2024);
CREATE TABLE season_others PARTITION OF season_new DEFAULT;
CREATE TABLE match (id int PRIMARY KEY, year int CONSTRAINT match_season REFERENCES season);
COMMENT ON CONSTRAINT match_season ON match IS 'of its season';
INSERT INTO season VALUES (2019), (2024), (2025);
INSERT INTO match VALUES (1, 2019), (2, 2024), (3, 2025);
INSERT INTO event SELECT n, chr(97 + n % 3), '2022-06-01'::date + n, repeat('x', n % 90) FROM generate_series(1, 1200) AS n;

CREATE TABLE parent (a int);
CREATE TABLE child (b text) INHERITS (parent);
INSERT INTO parent VALUES (1), (1), (2);
INSERT INTO child VALUES (3, 'three');
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE empty (id int PRIMARY KEY);
CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value text);
INSERT INTO cache VALUES ('a', 'b');

CREATE VIEW grown AS SELECT id, number, email, "Full Name ✓" FROM person WHERE born < '2010-01-01' WITH LOCAL CHECK OPTION;
CREATE MATERIALIZED VIEW moods AS SELECT mood, count(*) AS people FROM person GROUP BY mood;
CREATE UNIQUE INDEX moods_mood ON moods (mood);
CREATE MATERIALIZED VIEW unpopulated AS SELECT 1 AS one WITH NO DATA;
CREATE RULE grown_delete AS ON DELETE TO grown DO INSTEAD NOTHING;

CREATE FUNCTION person_touched() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW."row" := coalesce(NEW."row", 'touched'); -- Name: a comment; Type: spoof
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON person FOR EACH ROW WHEN (OLD.mood IS DISTINCT FROM NEW.mood) EXECUTE FUNCTION person_touched();
CREATE TRIGGER sleeping BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION person_touched();
ALTER TABLE person DISABLE TRIGGER sleeping;
CREATE TRIGGER replica_only BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION person_touched();
ALTER TABLE person ENABLE REPLICA TRIGGER replica_only;
CREATE FUNCTION doubled(n int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = public, pg_temp AS 'SELECT 2 * n';
CREATE FUNCTION atomic(n int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT doubled(n); END;
CREATE PROCEDURE tidy() LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN DELETE FROM cache; END $$;
CREATE AGGREGATE product(int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, COMMUTATOR = ===);
CREATE FUNCTION mood_number(mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE CAST (mood AS int) WITH FUNCTION mood_number(mood) AS ASSIGNMENT;
CREATE COLLATION german (provider = icu, locale = 'de-AT');
CREATE TEXT SEARCH CONFIGURATION plain_words (COPY = simple);

ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON person FOR SELECT TO reporting USING (mood <> 'sad');
CREATE POLICY writers ON person AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (number > 0);
COMMENT ON POLICY own_rows ON person IS 'sad people stay private';

GRANT SELECT ON person TO reporting WITH GRANT OPTION;
GRANT UPDATE (mood, "Full Name ✓") ON person TO "Read Only";
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO "Read Only";
REVOKE EXECUTE ON FUNCTION doubled(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION doubled(int) TO reporting;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA archive GRANT SELECT ON TABLES TO reporting;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SET ROLE reporting;
GRANT SELECT ON public.person TO "Ünï ""quoted""";
RESET ROLE;

SET ROLE "Ünï ""quoted""";
CREATE TABLE "Mixed Case"."Table with ""quotes"" and ünïcode" ("a b" int, "row" int, "select" text);
INSERT INTO "Mixed Case"."Table with ""quotes"" and ünïcode" SELECT n, n, NULL FROM generate_series(1, 20) AS n;
RESET ROLE;
-- Owners that may not create where their things are.
CREATE TABLE public.counted (id int GENERATED BY DEFAULT AS IDENTITY, what text COLLATE german);
INSERT INTO public.counted (what) VALUES ('ä'), ('z'), (NULL);
ALTER TABLE public.counted OWNER TO reporting;

SET ROLE know_me;
CREATE PUBLICATION changes FOR TABLE person (id, email, mood), empty WITH (publish = 'insert, update');
SELECT lo_from_bytea(1000001, decode(repeat('00ff10', 100000), 'hex'));
SELECT lo_from_bytea(1000002, '');
SELECT lo_from_bytea(1000003, 'three');
GRANT SELECT ON LARGE OBJECT 1000003 TO reporting;
COMMENT ON LARGE OBJECT 1000003 IS 'the third';
ALTER LARGE OBJECT 1000002 OWNER TO reporting;
RESET ROLE;
