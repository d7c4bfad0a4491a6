"""The rules, each a module with a `check`, by the names that `--ignore` takes."""

from manifest_lint.rules import (
    checked_streams,
    component_schema,
    custom_classes,
    described,
    keys,
    parameters,
    references,
    templates,
    unused,
    version,
)

# Without these nobody knows what the CDK would build; no rule after them finds anything.
FIRST = [references.check, parameters.check]
RULES = {
    "schema": component_schema.check,
    "keys": keys.check,
    "templates": templates.check,
    "classes": custom_classes.check,
    "unused": unused.check,
    "descriptions": described.check,
    "check": checked_streams.check,
    "version": version.check,
}

__all__ = ["FIRST", "RULES"]
