"""Airbyte source for the Instagram Graph API."""

from source_instagram.source import SourceInstagram

__all__ = ["SourceInstagram"]
