"""A field that a body does not have: the answer says which ones it has."""

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

UNKNOWN = "extra_forbidden"
# Of a body whose fields' names cannot be personal data: there the unknown one is named.
NAMED = "no_such_field"


def telling_fields(error: ValidationError, model: type[BaseModel], *, named: bool = False) -> ValidationError:
    """The same error, which tells of each unknown field of the model what the fields are."""
    fields = f"no such field; fields are {', '.join(model.model_fields)}"
    told = []
    for line in error.errors(include_url=False):
        kind, problem = line["type"], line["msg"]
        if kind == UNKNOWN and len(line["loc"]) == 1:
            kind, problem = NAMED if named else UNKNOWN, fields
        told.append(InitErrorDetails(type=PydanticCustomError(kind, problem), loc=line["loc"], input=line["input"]))
    return ValidationError.from_exception_data(model.__name__, told)
