package quicksilver;

import java.nio.charset.StandardCharsets;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.producer.ProducerRecord;

/**
 * An {@code Outgoing} of {@code quicksilver.streaming.message}: one sink for all topics, with keys and headers.
 *
 * <p>The record's time is its cause's, not that of the job: a replayed record is the same record.
 */
public final class MessageWriter implements KafkaRecordSerializationSchema<byte[]> {
    private static final long serialVersionUID = 1L;

    @Override
    public ProducerRecord<byte[], byte[]> serialize(byte[] element, KafkaSinkContext context, Long timestamp) {
        Pack.Reader pack = new Pack.Reader(element);
        pack.array();
        String topic = pack.text();
        byte[] key = pack.bytes();
        long time = pack.integer();
        int headers = pack.map();
        byte[][] named = new byte[2 * headers][];
        for (int i = 0; i < 2 * headers; i++) {
            named[i] = pack.bytes();
        }
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, null, time, key, pack.bytes());
        for (int i = 0; i < 2 * headers; i += 2) {
            record.headers().add(new String(named[i], StandardCharsets.UTF_8), named[i + 1]);
        }
        return record;
    }
}
