"""The query languages of the Amazon States Language, by the name a definition gives them."""

from collections.abc import Mapping

from localaws.stepfunctions.jsonpath import JsonPathQuery
from localaws.stepfunctions.query import JsonataQuery, Query

LANGUAGES: Mapping[str, type[Query]] = {"JSONata": JsonataQuery, "JSONPath": JsonPathQuery}
"""`QueryLanguage` → what evaluates the fields of a state."""
