package quicksilver;

import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.util.Collector;

/** All messages that one message causes come from Python together: a call for each would cost more than its work. */
public final class MessageSplitter implements FlatMapFunction<byte[], byte[]> {
    private static final long serialVersionUID = 1L;

    @Override
    public void flatMap(byte[] together, Collector<byte[]> out) {
        Pack.Reader pack = new Pack.Reader(together);
        for (int left = pack.array(); left > 0; left--) {
            out.collect(pack.bytes());
        }
    }
}
