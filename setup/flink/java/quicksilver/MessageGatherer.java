package quicksilver;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.operators.ProcessingTimeService.ProcessingTimeCallback;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.types.Row;

/**
 * Messages of one key that come close together go to Python together: a call costs more than most messages' work.
 *
 * <p>A message that comes alone goes on at once; others wait for two milliseconds at most. Nothing waits across a
 * checkpoint, so that there is no state.
 */
public final class MessageGatherer extends AbstractStreamOperator<Row>
        implements OneInputStreamOperator<Row, Row>, ProcessingTimeCallback {
    private static final long serialVersionUID = 1L;
    private static final int MOST_MESSAGES = 512;
    private static final int MOST_BYTES = 1 << 20;
    private static final long ALONE_NS = 1_000_000;
    private static final long WAIT_MS = 1;

    private transient Map<String, List<byte[]>> waiting;
    private transient int messages;
    private transient int bytes;
    private transient long lastNs;
    private transient boolean timed;

    @Override
    public void open() throws Exception {
        super.open();
        waiting = new LinkedHashMap<>();
    }

    @Override
    public void processElement(StreamRecord<Row> element) {
        Row row = element.getValue();
        byte[] message = (byte[]) row.getField(1);
        waiting.computeIfAbsent((String) row.getField(0), key -> new ArrayList<>()).add(message);
        messages++;
        bytes += message.length;
        long now = System.nanoTime();
        boolean alone = now - lastNs > ALONE_NS;
        lastNs = now;
        if (alone || messages >= MOST_MESSAGES || bytes >= MOST_BYTES) {
            flush();
        } else if (!timed) {
            timed = true;
            ProcessingTimeService clock = getProcessingTimeService();
            clock.registerTimer(clock.getCurrentProcessingTime() + WAIT_MS, this);
        }
    }

    @Override
    public void onProcessingTime(long time) {
        timed = false;
        flush();
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
        flush();
    }

    @Override
    public void finish() throws Exception {
        flush();
        super.finish();
    }

    private void flush() {
        for (Map.Entry<String, List<byte[]>> one : waiting.entrySet()) {
            output.collect(new StreamRecord<>(Row.of(one.getKey(), Pack.together(one.getValue()))));
        }
        waiting.clear();
        messages = 0;
        bytes = 0;
    }
}
