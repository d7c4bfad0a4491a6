"""Errors that are sentences for people stand in the log as such, whoever logs them."""

import logging

from source_instagram.answers import GraphError


def log_sentences() -> None:
    """Have all that is logged from now on pass `as_sentence`: the CDK logs what streams raise by loggers of its own."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(as_sentence)


def as_sentence(record: logging.LogRecord) -> bool:
    """Log an error that is a sentence for people as this sentence: where it was raised tells nothing more."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, GraphError):
        said = record.getMessage()
        words = said if str(error.message) in said else f"{said}: {error.message}"
        record.msg, record.args, record.exc_info = words, None, None
    return True
