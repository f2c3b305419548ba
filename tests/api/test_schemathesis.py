"""Generated requests against a running gateway: no answer is a 5xx, and each is as OpenAPI describes it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ingest.feeds.api import FeedsApi
from ingest.producer import Intake
from ingest.web import WebClient
from services.settings import Settings
from services.store import Store
from services.store.feeds import Feeds
from tests.api.conftest import Start, Updates, a_story, a_trend, an_article, an_entity, publish
from tests.ingest.conftest import serving

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Streams do not end, pushes write to Kafka, and /readyz reports what is missing as 503. They have their own tests.
_SKIPPED = {"/v1/events", "/v1/stream", "/v1/articles", "/readyz"}
_EXAMPLES = 15


@pytest.mark.timeout(90)
async def test_generated_requests_are_answered_as_described(
    start: Start, store: Store, updates: Updates, settings: Settings
) -> None:
    """Valid and invalid parameters and bodies of every REST endpoint, some of them with ids that exist."""
    await publish(
        store,
        updates,
        an_article(id="a-known", story="s-known", entities=[an_entity("Q1")]),
        a_story(id="s-known", articles=["a-known"], entities=[an_entity("Q1")]),
        a_trend(),
    )
    intake = Intake(settings.kafka_servers)
    async with (
        WebClient.of(settings) as web,
        serving(settings, intake, FeedsApi(settings, Feeds(store.redis), web)) as ingest,
        start(ingest_url=ingest) as gateway,
    ):
        schema = schemathesis.openapi.from_dict((await gateway.get("/openapi.json"))[1])
        schema.config.update(base_url=gateway.url)
        # The gateway runs in this loop, so the requests are sent from a thread.
        problems = await asyncio.to_thread(_problems, schema)
    await intake.close()
    assert problems == []


def _problems(schema: Any) -> list[str]:
    problems: list[str] = []
    operations = [one.ok() for one in schema.get_all_operations()]
    tested = [one for one in operations if one.path not in _SKIPPED]
    assert len(tested) >= 10
    for operation in tested:
        cases = st.one_of(
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
        )

        @hypothesis_settings(
            max_examples=_EXAMPLES,
            deadline=timedelta(seconds=5),
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(cases)
        def ask(case: Any) -> None:
            for name in ("article_id", "story_id"):
                if len(case.path_parameters.get(name, "")) == 1:
                    case.path_parameters[name] = f"{name[0]}-known"
            case.call_and_validate(checks=_CHECKS, timeout=5)

        try:
            ask()
        except Exception as error:  # each operation is reported
            problems.append(f"{operation.label}: {error}"[:2_000])
    return problems
