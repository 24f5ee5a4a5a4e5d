"""kill.py COUPLET ROUNDS SEED [BOUND_MS]: kills the editor (SIGKILL) at random moments of editing and of saving, starts it
again, and looks at what is left:
  - the layout file is whole: a state that the editor was told to save, not older than the last one it said it had saved;
  - what the next session offers is a state that was edited, not older than what the journal was seen to hold;
  - with BOUND_MS: no edit that was on the screen for longer than that is gone.
Every edit makes its number the count of steps, so that a state can be told by it. Prints what was lost at most."""
import os, pty, random, re, select, shutil, signal, struct, subprocess, sys, tempfile, termios, time, fcntl

PATIENCE = 120
REGIONS = 200  # so that a file is more than one page


def layout(steps):
    rows = ',\n'.join('    {"rect": [0.0, 1.0, 0.0, 1.0], "weight": 1.0, "prompt": "a cat, night sky, a boat, sea %d"}' % i
                      for i in range(REGIONS))
    return ('{\n  "couplet": 1,\n  "canvas": {"width": 64, "height": 64},\n  "mode": "advanced",\n  "regions": [\n%s\n  ],\n'
            '  "sampling": {"steps": %d, "cfg": 4.0, "seed": 42}\n}\n') % (rows, steps)


class Editor:
    def __init__(self, program, folder, name):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 720, 432))
        home = {'HOME': folder, 'TERM': 'xterm-256color', 'LANG': 'C.UTF-8', 'PATH': os.environ['PATH']}
        home.update({'XDG_%s_HOME' % k: folder + '/' + k.lower() for k in ('STATE', 'CONFIG', 'DATA')})
        home['COUPLET_TEST_MARK'] = os.environ.get('COUPLET_TEST_MARK', '')
        self.child = subprocess.Popen(['setsid', '-c', program, '--threads', '1', name], cwd=folder, env=home,
                                      stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.fd, self.seen = master, b''

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            new = os.read(self.fd, 65536)
        except OSError:
            return False
        if b'\x1b[c' in (self.seen[-2:] + new):
            os.write(self.fd, b'\x1b[?62;22c')
        self.seen += new
        return bool(new)

    def send(self, text):
        os.write(self.fd, text)

    def wait(self, pattern, start=0, seconds=PATIENCE):
        """Until the pattern is in what came since `start`: its last match. None: the time is over."""
        end = time.monotonic() + seconds
        while True:
            found = list(re.finditer(pattern, self.seen[start:]))
            if found:
                return found[-1]
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.read(left)
            if self.child.poll() is not None and not self.read(0):
                raise SystemExit('the editor ended with %s' % self.child.returncode)

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        while self.read(0):
            pass
        os.close(self.fd)

    def leave(self):
        self.send(b':q!\r')
        end = time.monotonic() + PATIENCE
        while self.child.poll() is None and time.monotonic() < end:
            self.read(0.05)
        if self.child.poll() != 0:
            raise SystemExit('the editor ended with %s' % self.child.poll())
        os.close(self.fd)


def journal_steps(folder):
    """What the journal holds now, 0 for nothing. It must be whole whenever it is read."""
    where = folder + '/state/couplet/journal'
    best = 0
    for name in os.listdir(where) if os.path.isdir(where) else []:
        if not name.endswith('.json'):
            continue
        try:
            text = open(where + '/' + name).read()
        except FileNotFoundError:
            continue
        found = re.search(r'"steps": (\d+)', text)
        if not found or layout(int(found.group(1))).strip() not in text:
            raise SystemExit('the journal is not whole: ...%s' % text[-200:])
        best = max(best, int(found.group(1)))
    return best


def until(editor, keys, text, end):
    """Sends keys and waits for what they put on the screen; False: the time is over."""
    start = len(editor.seen)
    editor.send(keys)
    while text not in editor.seen[start:]:
        if time.monotonic() >= end:
            return False
        editor.read(max(0, end - time.monotonic()))
    return True


def edit_until(editor, folder, dice, saves):
    """Edits, and saves them where asked to, until a random moment. What is known then."""
    known = {'sent': 1, 'shown': [], 'saved': 1, 'journal': 0}
    kill_at = time.monotonic() + dice.uniform(0, 0.8 if saves else 1.8)
    step = 1
    while True:
        step += 1
        # The command is on the screen before it is given, so that the screen tells when it is done.
        until(editor, b':steps %d' % step, b'steps %d' % step, kill_at)
        known['sent'] = step
        if until(editor, b'\r', b'NORMAL', kill_at):
            known['shown'].append((time.monotonic(), step))
        if saves:
            if until(editor, b':w\r', b'saved', kill_at):
                known['saved'] = step
        else:
            known['journal'] = max(known['journal'], journal_steps(folder))
            pause = min(kill_at, time.monotonic() + dice.uniform(0, 0.1))
            while time.monotonic() < pause:
                editor.read(max(0, pause - time.monotonic()))
        if time.monotonic() >= kill_at or step > 990:
            return known


def recovered(program, folder):
    """What the next session comes back with: steps, and whether it had to ask."""
    editor = Editor(program, folder, 'work.json')
    if not editor.wait(rb'synced'):
        raise SystemExit('no next session')
    asked = b'were not saved' in editor.seen
    if asked:
        editor.send(b'r')
        if not editor.wait(rb'edits are back'):
            raise SystemExit('the edits did not come back')
    editor.send(b':w recovered.json\r')
    if not editor.wait(rb'saved recovered'):
        raise SystemExit('what came back could not be saved')
    editor.leave()
    text = open(folder + '/recovered.json').read()
    return whole(text, 'what came back'), asked


def whole(text, what):
    found = re.search(r'"steps": (\d+)', text)
    if not found or text != layout(int(found.group(1))):
        raise SystemExit('%s is no whole layout: %d bytes, ...%s' % (what, len(text), text[-200:]))
    return int(found.group(1))


def one_round(program, number, seed, bound):
    dice = random.Random('%d %d' % (seed, number))
    saves = number % 2 == 1
    folder = tempfile.mkdtemp(prefix='couplet-kill.')
    try:
        open(folder + '/work.json', 'w').write(layout(1))
        editor = Editor(program, folder, 'work.json')
        if not editor.wait(rb'synced'):
            raise SystemExit('the editor does not start')
        known = edit_until(editor, folder, dice, saves)
        killed = time.monotonic()
        editor.kill()
        file_steps = whole(open(folder + '/work.json').read(), 'the layout file')
        if not (known['saved'] <= file_steps <= known['sent']):
            raise SystemExit('the file has state %d, saved was %d, the last edit is %d' % (file_steps, known['saved'], known['sent']))
        steps, asked = recovered(program, folder)
        if not (max(file_steps, known['journal']) <= steps <= known['sent']):
            raise SystemExit('state %d came back, the file has %d, the journal had %d, the last edit is %d'
                             % (steps, file_steps, known['journal'], known['sent']))
        lost = [killed - when for when, step in known['shown'] if step > steps]
        lost_ms = 1000 * max(lost) if lost else 0
        if bound and lost_ms > bound:
            raise SystemExit('an edit is gone that was on the screen for %d ms' % lost_ms)
        return saves, asked, lost_ms, known['sent']
    except SystemExit as why:
        raise SystemExit('round %d of seed %d: %s' % (number, seed, why))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    program, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    bound = float(sys.argv[4]) if len(sys.argv) > 4 else 0
    results = [one_round(program, i, seed, bound) for i in range(rounds)]
    editing = [r for r in results if not r[0]]
    print('%d kills, %d while edits were saved; %d sessions came back with edits; lost at most the last %d ms of %d edits'
          % (len(results), len(results) - len(editing), sum(r[1] for r in results), max(r[2] for r in results), sum(r[3] for r in results)))


main()
