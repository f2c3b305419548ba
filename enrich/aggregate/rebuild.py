"""``khabar rebuild aggregates``: recomputes all numbers from what Kafka keeps."""

from collections.abc import Callable

from aiokafka.errors import KafkaError
from redis import RedisError

from enrich.aggregate.counter import Aggregate
from services import kafka
from services.errors import OperatorError, reason
from services.settings import Settings
from services.store import State, Store


async def rebuild(settings: Settings, progress: Callable[[int, int], None]) -> State:
    """Clear all numbers, locations, stories and trends in the store and count the log again; return the store's state.

    Safe while workers run: they help or wait, and nothing is counted twice. ``progress`` is called with the offset
    reached and the last one. Raises ``OperatorError``.
    """
    store = Store(settings.redis_url)
    try:
        await Aggregate(store, settings.kafka_servers).rebuild(progress)
        return await store.state(await kafka.read_log_id(settings.kafka_servers))
    except (KafkaError, OSError) as error:
        raise OperatorError(f"Kafka at {settings.kafka_servers} cannot be read: {reason(error)}") from error
    except RedisError as error:
        raise OperatorError(f"the store cannot be written: {reason(error)}") from error
    finally:
        await store.close()
