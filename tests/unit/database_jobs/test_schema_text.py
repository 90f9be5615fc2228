"""Two schema dumps are compared object by object."""

from database_jobs.schema_text import compare, objects, respelled

DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict abcdef

SET statement_timeout = 0;

--
-- Name: note; Type: TABLE; Schema: public; Owner: know_me
--

CREATE TABLE public.note (
    id integer
);


ALTER TABLE public.note OWNER TO know_me;

--
-- Name: TABLE note; Type: ACL; Schema: public; Owner: know_me
--

GRANT SELECT ON TABLE public.note TO a;
GRANT SELECT ON TABLE public.note TO b;


--
-- Name: counted; Type: VIEW; Schema: public; Owner: know_me
--

CREATE VIEW public.counted AS
 SELECT note.id
   FROM public.note
  WHERE (note.id > 1);


\\unrestrict abcdef

--
-- PostgreSQL database dump complete
--
"""


def test_entries_are_found_by_kind_and_qualified_name() -> None:
    assert set(objects(DUMP)) == {
        ("table", "public.note"),
        ("acl", "public.TABLE note"),
        ("view", "public.counted"),
    }


def test_dump_is_equal_to_itself_with_another_guard() -> None:
    assert compare(DUMP, DUMP.replace("abcdef", "uvwxyz"), same_major=True) == []


def test_order_of_grants_is_no_difference() -> None:
    swapped = DUMP.replace("TO a;", "TO c;").replace("TO b;", "TO a;").replace("TO c;", "TO b;")
    assert swapped != DUMP
    assert compare(DUMP, swapped, same_major=True) == []


def test_missing_object_is_named() -> None:
    (found,) = compare(DUMP, DUMP.replace("Name: counted", "Name: other"), same_major=True)[:1]
    assert (found.kind, found.name, found.candidate) == ("view", "public.counted", None)


def test_another_owner_is_a_difference() -> None:
    found = compare(
        DUMP, DUMP.replace("Schema: public; Owner: know_me", "Schema: public; Owner: x", 1), same_major=True
    )
    assert [(one.kind, one.name) for one in found] == [("table", "public.note")]


def test_other_spelling_of_a_newer_server_is_marked_only_between_major_versions() -> None:
    # Given PostgreSQL 16, which prints no qualifier where one table is read
    newer = DUMP.replace("SELECT note.id", "SELECT id").replace("(note.id > 1)", "(id > 1)")
    assert [found.only_respelled for found in compare(DUMP, newer, same_major=False)] == [True]
    assert [found.only_respelled for found in compare(DUMP, newer, same_major=True)] == [False]


def test_another_constant_is_never_a_spelling() -> None:
    assert not respelled("WHERE (note.id > 1)", "WHERE (id > 2)")


def test_comment_that_looks_like_an_entry_is_text() -> None:
    spoof = DUMP.replace("    id integer", "    id integer -- Name: spoof; Type: TABLE; Schema: x; Owner: y")
    assert set(objects(spoof)) == set(objects(DUMP))
