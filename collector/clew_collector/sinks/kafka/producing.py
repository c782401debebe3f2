"""Messages into one topic, and knowledge of which of them the brokers have."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from clew_collector.errors import ConfigError
from clew_collector.model import record
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.http import MAX_REASON_LENGTH
from clew_collector.sinks.kafka.config import KafkaSinkConfig, KafkaSinkSecurity

_MESSAGE_OVERHEAD_BYTES: Final = 4_096
_QUEUE_KB: Final = 256 << 10
_LINGER_MS: Final = 5
_POLL_S: Final = 0.1
_CRITICAL: Final = 2
_ITS_OWN_SETTINGS: Final = re.compile(r"\s*, verify that ssl\.ca\.location .*\(install ca-certificates package\)")


@record
class Message:
    """Part of a payload on its way to a partition."""

    payload_id: int
    partition: int
    value: bytes


class TopicProducer:
    """An idempotent producer for one topic; for one thread."""

    def __init__(self, config: KafkaSinkConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._failure: SinkUnavailable | None = None
        self._trouble = ""
        self._producer: Any = None
        try:
            import confluent_kafka
        except ImportError as error:
            raise ConfigError("sinks: kafka needs its client: pip install 'clew[kafka]'") from error
        self._client = confluent_kafka
        self._new_producer()

    def partitions(self) -> int:
        """How many partitions the topic has. Raises `SinkUnavailable`."""
        try:
            topic = self._producer.list_topics(self._topic, self._config.timeout_s).topics[self._topic]
        except self._client.KafkaException as error:
            self._producer.poll(0)  # the error itself says no more than that there is no answer
            raise self._unavailable(self._trouble or error.args[0]) from error
        self._trouble = ""
        if topic.error is not None or not topic.partitions:
            raise self._unavailable(topic.error or "has no partitions")
        return len(topic.partitions)

    def send(self, messages: Sequence[Message]) -> set[int]:
        """The payloads of which the brokers have every message; blocks until that is known, or time is up.

        Whether a message failed is told by `raise_failure`.
        """
        missing = Counter(message.payload_id for message in messages)
        payload_ids = set(missing)

        def note(error: Any, payload_id: int) -> None:
            if error is None:
                missing[payload_id] -= 1
            elif self._failure is None:
                self._failure = self._unavailable(error)

        for message in messages:
            if self._failure is not None:
                break
            self._produce(message, note)
        while len(self._producer) and self._failure is None:
            self._producer.poll(_POLL_S)  # the client gives up by itself after `delivery.timeout.ms`
        if self._failure is not None:
            self._settle()
            self._start_over()
        return {payload_id for payload_id in payload_ids if missing[payload_id] == 0}

    def raise_failure(self) -> None:
        """Raise what went wrong in the last `send`, if anything did."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Forget what is not sent."""
        self._producer.purge()
        self._producer.poll(0)

    def _produce(self, message: Message, note: Any) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    message.value,
                    partition=message.partition,
                    on_delivery=lambda error, _: note(error, message.payload_id),
                )
            except BufferError:
                self._producer.poll(_POLL_S)
                if self._failure is not None:
                    return
            except self._client.KafkaException as error:
                note(error.args[0], message.payload_id)
                return
            else:
                self._producer.poll(0)
                return

    def _settle(self) -> None:
        """Take back what was not sent, and wait for the answers to what was: given again, it would be there twice."""
        self._producer.purge(in_flight=False)
        while len(self._producer):
            self._producer.poll(_POLL_S)

    def _start_over(self) -> None:
        """A new producer: what waits in this one would arrive after it is given again, and be there twice."""
        self.close()
        self._new_producer()

    def _new_producer(self) -> None:
        try:
            self._producer = self._client.Producer(_settings(self._config) | {"error_cb": self._note_trouble})
        except self._client.KafkaException as error:
            raise ConfigError(f"sinks: {self._config.name}: {error.args[0].str()}") from error

    def _note_trouble(self, error: Any) -> None:
        """Remember why a connection failed; that all of them did says nothing new."""
        if error.code() != self._client.KafkaError._ALL_BROKERS_DOWN:
            self._trouble = error.str()

    def _unavailable(self, error: Any) -> SinkUnavailable:
        said = _ITS_OWN_SETTINGS.sub("", error.str() if hasattr(error, "str") else str(error))[:MAX_REASON_LENGTH]
        return SinkUnavailable(f"{','.join(self._config.brokers)}, topic {self._topic}: {said}{_hint(said)}")


def _hint(said: str) -> str:
    if "uthentication" in said:
        return "; check security.user and security.password"
    if "too large" in said:
        return "; check max_message_bytes, and max.message.bytes of the topic"
    if "verify failed" in said:
        return "; check security.ca, and that the certificate is for the address in brokers"
    return ""


def _settings(config: KafkaSinkConfig) -> dict[str, Any]:
    """For librdkafka (https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md)."""
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": "clew",
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": config.compression,
        "linger.ms": _LINGER_MS,
        "message.max.bytes": config.max_message_bytes + _MESSAGE_OVERHEAD_BYTES,
        "delivery.timeout.ms": int(config.timeout_s * 1000),
        "queue.buffering.max.kbytes": _QUEUE_KB,
        "log_level": _CRITICAL,
    }
    return settings | (_security_settings(config.security) if config.security else {})


def _security_settings(security: KafkaSinkSecurity) -> dict[str, Any]:
    settings: dict[str, Any] = {"security.protocol": security.protocol}
    if security.password is not None:
        settings["sasl.mechanism"] = security.mechanism
        settings["sasl.username"] = security.user
        settings["sasl.password"] = security.password.get_secret_value()
    for name, path in (("ca", security.ca), ("certificate", security.certificate), ("key", security.key)):
        if path is not None:
            settings[f"ssl.{name}.location"] = str(path)
    return settings
