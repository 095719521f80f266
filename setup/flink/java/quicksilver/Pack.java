package quicksilver;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The little of MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) that messages need. */
final class Pack {
    private Pack() {}

    /** Return the array of elements that are packed already. */
    static byte[] together(List<byte[]> elements) {
        int size = 5;
        for (byte[] one : elements) {
            size += one.length;
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        out.put((byte) 0xdd).putInt(elements.size());
        for (byte[] one : elements) {
            out.put(one);
        }
        return out.array();
    }

    static final class Writer {
        private final ByteArrayOutputStream bytes;
        private final DataOutputStream out;

        Writer(int size) {
            bytes = new ByteArrayOutputStream(size);
            out = new DataOutputStream(bytes);
        }

        /** Begin an array of fewer than 16 elements. */
        void array(int size) throws IOException {
            out.writeByte(0x90 | size);
        }

        void map(int size) throws IOException {
            out.writeByte(0xde);
            out.writeShort(size);
        }

        void integer(long value) throws IOException {
            out.writeByte(0xd3);
            out.writeLong(value);
        }

        void text(byte[] value) throws IOException {
            out.writeByte(0xdb);
            out.writeInt(value.length);
            out.write(value);
        }

        void text(String value) throws IOException {
            text(value.getBytes(StandardCharsets.UTF_8));
        }

        void binary(byte[] value) throws IOException {
            out.writeByte(0xc6);
            out.writeInt(value.length);
            out.write(value);
        }

        byte[] done() {
            return bytes.toByteArray();
        }
    }

    static final class Reader {
        private final ByteBuffer in;

        Reader(byte[] bytes) {
            in = ByteBuffer.wrap(bytes);
        }

        int array() {
            return size(0x90, 0xdc);
        }

        int map() {
            return size(0x80, 0xde);
        }

        private int size(int small, int large) {
            int code = in.get() & 0xff;
            if ((code & 0xf0) == small) {
                return code & 0x0f;
            }
            if (code == large) {
                return in.getShort() & 0xffff;
            }
            if (code == large + 1) {
                return in.getInt();
            }
            throw new IllegalArgumentException("not a message: code " + code);
        }

        long integer() {
            int code = in.get() & 0xff;
            switch (code) {
                case 0xcc: return in.get() & 0xffL;
                case 0xcd: return in.getShort() & 0xffffL;
                case 0xce: return in.getInt() & 0xffffffffL;
                case 0xcf:
                case 0xd3: return in.getLong();
                default:
                    if (code < 0x80) {
                        return code;
                    }
                    throw new IllegalArgumentException("not a number: code " + code);
            }
        }

        String text() {
            return new String(bytes(), StandardCharsets.UTF_8);
        }

        /** Return what a text or a binary holds. */
        byte[] bytes() {
            int code = in.get() & 0xff;
            int length;
            switch (code) {
                case 0xc4:
                case 0xd9: length = in.get() & 0xff; break;
                case 0xc5:
                case 0xda: length = in.getShort() & 0xffff; break;
                case 0xc6:
                case 0xdb: length = in.getInt(); break;
                default:
                    if ((code & 0xe0) != 0xa0) {
                        throw new IllegalArgumentException("not a text: code " + code);
                    }
                    length = code & 0x1f;
            }
            byte[] found = new byte[length];
            in.get(found);
            return found;
        }
    }
}
