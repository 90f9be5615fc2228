-- A database of somebody else, as pg_dump writes it: several schemas, owners and rights of another server.
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE DATABASE orchard;
ALTER DATABASE orchard OWNER TO gardener;
\connect orchard
CREATE SCHEMA orchard;
ALTER SCHEMA orchard OWNER TO gardener;
CREATE TYPE orchard.ripeness AS ENUM ('green', 'ripe', 'überreif');
CREATE DOMAIN orchard.weight AS numeric(8,3) CHECK (VALUE > 0);
CREATE TABLE orchard.tree (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 7),
    name text NOT NULL,
    planted date,
    label text GENERATED ALWAYS AS (upper(name)) STORED
);
ALTER TABLE orchard.tree OWNER TO gardener;
COMMENT ON TABLE orchard.tree IS 'Every tree; "quoted" – and dashed';
CREATE TABLE orchard.harvest (
    tree_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    ripeness orchard.ripeness NOT NULL,
    weight orchard.weight,
    notes jsonb
) PARTITION BY RANGE (at);
CREATE TABLE orchard.harvest_2023 PARTITION OF orchard.harvest FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE orchard.harvest_rest PARTITION OF orchard.harvest DEFAULT;
CREATE FUNCTION orchard.total(wanted bigint) RETURNS numeric LANGUAGE sql STABLE
BEGIN ATOMIC
 SELECT sum(weight) FROM orchard.harvest WHERE tree_id = wanted;
END;
COPY orchard.tree (id, name, planted) FROM stdin;
100	Schöner aus Boskoop	1999-03-01
107	\\ ; \t tabbed	\N
\.
COPY orchard.harvest (tree_id, at, ripeness, weight, notes) FROM stdin;
100	2023-09-01 10:00:00+02	ripe	12.500	{"crate": [1, 2.50, null]}
100	2024-09-01 10:00:00+02	überreif	0.125	\N
107	1890-01-01 00:00:00+00	green	\N	{}
\.
SELECT pg_catalog.setval('orchard.tree_id_seq', 107, true);
ALTER TABLE ONLY orchard.tree ADD CONSTRAINT tree_pkey PRIMARY KEY (id);
CREATE INDEX harvest_at ON orchard.harvest USING btree (at DESC);
ALTER TABLE orchard.harvest ADD CONSTRAINT harvest_tree FOREIGN KEY (tree_id) REFERENCES orchard.tree(id);
CREATE MATERIALIZED VIEW orchard.best AS SELECT tree_id, max(weight) AS heaviest FROM orchard.harvest GROUP BY tree_id WITH DATA;
ALTER TABLE orchard.tree ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON orchard.tree USING (true);
GRANT SELECT ON TABLE orchard.tree TO visitor;
