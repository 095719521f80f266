package quicksilver;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.header.Header;

/**
 * A record with all that Kafka knows of it, as {@code quicksilver.streaming.message.Message} decodes it, beside its key
 * or a header.
 *
 * <p>PyFlink's own schemas give the value alone: no key, no headers, no offset. The row is what PyFlink's {@code
 * key_by} would make of it by one more call of Python for each record.
 */
public final class MessageReader implements KafkaRecordDeserializationSchema<Row> {
    private static final long serialVersionUID = 1L;
    private static final byte[] NOTHING = new byte[0];
    private final String by;
    private final String parts;

    /**
     * Put the header {@code by} beside each message, or its key if that is empty; of the topic {@code parts} the part of
     * the key before its last slash, as {@code Message.instrument} has it.
     */
    public MessageReader(String by, String parts) {
        this.by = by;
        this.parts = parts;
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Row> out) throws IOException {
        byte[] key = record.key() == null ? NOTHING : record.key();
        byte[] value = record.value() == null ? NOTHING : record.value();
        String name = new String(key, StandardCharsets.UTF_8);
        Pack.Writer pack = new Pack.Writer(value.length + 160);
        pack.array(7);
        pack.text(record.topic());
        pack.integer(record.partition());
        pack.integer(record.offset());
        pack.integer(record.timestamp());
        pack.text(name);
        int headers = 0;
        for (Header header : record.headers()) {
            headers += header.value() == null ? 0 : 1; // one without a value says nothing
        }
        pack.map(headers);
        for (Header header : record.headers()) {
            if (header.value() != null) {
                pack.text(header.key());
                // Through a String, so that bytes that are no text do not make the whole message unreadable.
                pack.text(new String(header.value(), StandardCharsets.UTF_8));
            }
        }
        pack.binary(value);
        out.collect(Row.of(by.isEmpty() ? instrument(record.topic(), name) : header(record), pack.done()));
    }

    private String instrument(String topic, String name) {
        return topic.equals(parts) ? name.substring(0, Math.max(0, name.lastIndexOf('/'))) : name;
    }

    private String header(ConsumerRecord<byte[], byte[]> record) {
        Header found = record.headers().lastHeader(by);
        return found == null || found.value() == null ? "" : new String(found.value(), StandardCharsets.UTF_8);
    }

    @Override
    public TypeInformation<Row> getProducedType() {
        return Types.ROW(Types.STRING, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
    }
}
