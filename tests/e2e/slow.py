"""slow.py COUPLET LAYOUT: the editor behind a line of 1 Mbit/s, while a picture is made and its previews come. Looks at bytes
and their order, not at time:
  - a key is answered before 6250 more bytes have come, which is what such a line carries in 50 ms; a picture that is on its
    way gives way to it;
  - every sixel string is ended before text follows;
  - previews did come, more than one."""
import fcntl, os, pty, re, select, struct, subprocess, sys, termios, time

RATE, MOST, PATIENCE, KEYS = 125000, 6250, 120, 16
ANSWERS = ((b'\x1b[16t', b'\x1b[6;18;9t'), (b'\x1b[?1;1;0S', b'\x1b[?1;0;256S'), (b'\x1b[?2;4;0S', b'\x1b[?2;0;1000;1000S'),
           (b'\x1b[6n', b'\x1b[2;1R'), (b'\x1b[c', b'\x1b[?63;1;2;4;22c'))


class Line:
    def __init__(self, command):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 1080, 720))
        self.child = subprocess.Popen(['setsid', '-c'] + command, stdin=slave, stdout=slave, stderr=slave,
                                      env=dict(os.environ, TERM='xterm-256color'))
        os.close(slave)
        self.fd, self.free_at = master, time.monotonic()
        self.bytes = b''     # all that came
        self.text = b''      # what of it stands outside of pictures
        self.pictures, self.cut, self.inside = 0, 0, False

    def take(self):
        """The next bytes, when the line has carried those before."""
        pause = self.free_at - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        if not select.select([self.fd], [], [], 0.02)[0]:
            return
        try:
            new = os.read(self.fd, 256)
        except OSError:
            raise SystemExit('the editor ended')
        self.free_at = max(self.free_at, time.monotonic() - 0.002) + len(new) / RATE
        for i in range(len(new)):
            self.bytes += new[i:i + 1]
            if self.inside:
                if self.bytes.endswith(b'\x1b\\'):
                    self.inside = False
                    self.pictures += 1
                elif new[i] < 32 and new[i] not in (27, 10, 13) or (self.bytes[-2:-1] == b'\x1b' and new[i:i + 1] != b'\\'):
                    raise SystemExit('a picture is not ended: %r' % self.bytes[-40:])
            else:
                self.text += new[i:i + 1]
                self.inside = self.bytes.endswith(b'\x1bP')
            for query, reply in ANSWERS:
                if self.bytes.endswith(query):
                    os.write(self.fd, reply)

    def press(self, keys, text):
        """How many bytes come before the answer."""
        before, start = len(self.bytes), len(self.text)
        os.write(self.fd, keys)
        end = time.monotonic() + PATIENCE
        while text not in self.text[start:]:
            self.take()
            if time.monotonic() > end:
                raise SystemExit('no answer to %r' % keys)
        return len(self.bytes) - before


def main():
    line = Line([sys.argv[1], '--threads', '1', sys.argv[2]])
    line.press(b'', b'synced')
    line.press(b'g', b'tep 1')
    line.press(b'e', b'EDIT')
    line.press(b'\x1b', b'TABLE')
    # The first preview tells how wide the line is.
    end = time.monotonic() + PATIENCE
    while line.pictures < 3 and time.monotonic() < end:
        line.take()
    counts = []
    for i in range(KEYS):
        # Previews are under way again, or at least one more has come.
        had, end = line.pictures, time.monotonic() + PATIENCE
        while not line.inside and line.pictures == had:
            line.take()
            if time.monotonic() > end:
                raise SystemExit('no more previews come after %d keys' % i)
        counts.append(line.press(*((b'e', b'EDIT') if i % 2 == 0 else (b'\x1b', b'TABLE'))))
    line.child.kill()
    line.child.wait()
    print('%d previews; bytes before the answer to a key: %d in the middle, %d at most'
          % (line.pictures, sorted(counts)[KEYS // 2], max(counts)))
    if max(counts) > MOST:
        raise SystemExit('a key was answered only after %d bytes' % max(counts))


main()
