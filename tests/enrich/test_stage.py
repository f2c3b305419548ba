"""Moving records through stages on a real Kafka, and choosing the stages of a worker."""

import random
import subprocess
import sys

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner

from enrich.commands import enrich
from enrich.stage import RecordProducer
from services import kafka_topics
from services.embedded.kafka import Kafka
from services.kafka import Output
from tests.harness import log_of


async def test_a_refused_record_does_not_refuse_those_after_it(kafka: Kafka) -> None:
    """When Kafka refuses one record, the next ones are still written, each once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("narrow", 1, 1, topic_configs={"max.message.bytes": "1000"})])
    await admin.close()
    producer = RecordProducer(kafka.bootstrap)
    try:
        await producer.send([Output("narrow", None, b"first")])
        # Random, since what repeats is small enough once it is compressed.
        large = Output("narrow", None, random.Random(1).randbytes(512_000))
        (refused,) = await producer.send([Output("narrow", None, b"before"), large, Output("narrow", None, b"after")])
        assert refused.outputs == [large]
        assert "MessageSizeTooLargeError" in str(refused)
        await producer.send([Output("narrow", None, b"second")])
        await producer.send([Output("narrow", None, b"third")])
    finally:
        await producer.close()
    narrow = kafka_topics.KafkaTopic("narrow")
    assert [record.value for record in await log_of(kafka.bootstrap, narrow)] == [
        b"first",
        b"before",
        b"after",
        b"second",
        b"third",
    ]


@pytest.mark.parametrize("stages", ["grouping", "group,grouping", "", "group,"])
def test_the_command_refuses_an_unknown_stage(stages: str) -> None:
    """The error names the wrong stage and those that exist."""
    result = CliRunner().invoke(enrich, ["--stages", stages])
    assert result.exit_code == 2
    wrong = repr(stages.rsplit(",", 1)[-1])
    assert f"there is no stage {wrong}; the stages are annotate, group, aggregate" in result.output


def test_a_worker_loads_only_what_its_stages_need() -> None:
    """Without annotate no models are loaded, and without group not its packages."""
    code = """
import sys
from enrich.app import create_app
from services.settings import Settings

create_app(Settings(kafka="127.0.0.1:9"), stages=sys.argv[1:])
print(*sorted({"onnxruntime", "enrich.annotate", "enrich.group", "enrich.aggregate"} & sys.modules.keys()))
"""
    loaded = {}
    for stage in ("annotate", "group", "aggregate"):
        loaded[stage] = subprocess.run(
            [sys.executable, "-c", code, stage], capture_output=True, text=True, check=True
        ).stdout.split()
    assert loaded == {
        "annotate": ["enrich.annotate", "onnxruntime"],
        "group": ["enrich.group"],
        "aggregate": ["enrich.aggregate"],
    }
