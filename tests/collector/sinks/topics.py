"""What readers of a real broker's topic get."""

import uuid

from confluent_kafka import Consumer, TopicPartition

from tests.collector.receivers.kafka_topics import ANSWER_S, Topic


def messages_in(topic: Topic) -> list[tuple[int, bytes]]:
    """The partition and the value of every message that is there now."""
    consumer = Consumer({"bootstrap.servers": topic.broker, "group.id": uuid.uuid4().hex})
    found: list[tuple[int, bytes]] = []
    for partition in consumer.list_topics(topic.name, ANSWER_S).topics[topic.name].partitions:
        place = TopicPartition(topic.name, partition, 0)
        _, end = consumer.get_watermark_offsets(place, ANSWER_S)
        consumer.assign([place])
        for _ in range(end):
            message = consumer.poll(ANSWER_S)
            assert message is not None
            assert message.error() is None
            found.append((partition, message.value() or b""))
    consumer.close()
    return found
