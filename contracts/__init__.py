"""The contracts as files, generated from the code: JSON Schemas, AsyncAPI, OpenAPI, examples."""
