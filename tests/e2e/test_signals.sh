#!/usr/bin/env bash
# Whatever ends the editor: the terminal is left as it was found, unsaved work is kept, no process stays. Under a shell in
# tmux, which knows the terminal's modes, and in xterm with a picture on its way.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
ulimit -c 0

# A shell that a user might have: it notes the terminal before and after.
cat >shell.sh <<'END'
modes='alternate #{alternate_on} cursor #{cursor_flag} mouse #{mouse_any_flag} keys #{keypad_cursor_flag} #{keypad_flag}'
note() { stty -a >stty-$1; [ -z "$TMUX" ] || tmux display-message -p "$modes" >modes-$1; }
rm -f pid status
note before
sh -c 'echo $$ >pid; exec "$COUPLET" "$@"' sh "$@"
echo $? >status
note after
echo back in the shell
read -r _
END
restored() { cmp stty-before stty-after && { [ ! -s modes-before ] || cmp modes-before modes-after; } && modes_restored; }
kept() { # the edit is in a journal, and not in the file
    grep -lqF "/$1\"" state/couplet/journal/*.json && has "$(grep -lF "/$1\"" state/couplet/journal/*.json)" 0.5625 && lacks "$1" 0.5625
}
ended() { # ended SIGNAL STATUS [SAYING]: after an edit, without and with a run under way
    scene "$1.json" 400 && rm -rf state/couplet/journal
    tmux_run 80x24 sh shell.sh "$1.json" <<END && same "$(cat status)" "$2" && restored && no_strays
expect r1 synced
key L
expect [+]
key g
expect /400
sh kill -$1 \$(cat pid)
expect back in the shell
expect ${3:-back in the shell}
expect-not canvas
key Return
waitexit 20 0
END
}
found_again() {
    in_tmux 120x40 SEGV.json <<END && has SEGV.json 0.5625
expect were not saved
expect ▸ 1    0.000  0.500
key r
expect ▸ 1    0.000  0.562
expect the edits are back
key s
expect saved SEGV.json
key q
waitexit 20 0
END
}
check 'SIGTERM: the terminal is restored, status 143' ended TERM 143 'unsaved changes are kept'
check 'SIGTERM: unsaved work is kept' kept TERM.json
check 'SIGHUP: the terminal is restored, status 129' ended HUP 129
check 'SIGHUP: unsaved work is kept' kept HUP.json
check 'SIGSEGV: the terminal is restored, then the crash reported, status 139' ended SEGV 139 'crashed (SIGSEGV'
whole() { "$COUPLET" check --quiet SEGV.json && lacks SEGV.json 0.5625; }
check 'after a crash the file is as it was saved last' whole
check 'the next session offers what the crash took, r brings it back' found_again
check 'SIGABRT: the same, status 134' ended ABRT 134 'crashed (SIGABRT'
check 'SIGQUIT: the terminal is restored, status 131' ended QUIT 131

in_sixel() { # a crash while pictures are drawn
    scene crash.json 400
    xterm_run 120x40 sh shell.sh crash.json <<END && same "$(cat status)" 139 && restored && no_strays
expect synced
key g
expect /400
sh kill -SEGV \$(cat pid)
expect back in the shell
settle 0.3 5
expect-not ^[
shot after-a-crash.png
key Return
waitexit 20 0
END
}
rm -f modes-*
check 'SIGSEGV in xterm, between previews: restored, and no late reply is left to the shell' in_sixel
sound() { python3 "$tools/sixelcat-check" "$record" >"$said"; }
check 'and the last sixel is whole or was ended' sound

suspended() {
    scene stop.json
    tmux_run 80x24 bash --norc <<END && modes_restored
text set -m; PS1='prompt> '; stty -a >stty-before; "\$COUPLET" stop.json\n
expect r1 synced
key L
expect [+]
key C-z
expect Stopped
expect-not canvas
text stty -a >stty-stopped; echo at the prompt\n
expect at the prompt
text fg\n
expect ▸ 1    0.000  0.562
key s
expect saved stop.json
key q
expect prompt>
text stty -a >stty-after; exit\n
waitexit 20 0
END
    cmp stty-before stty-stopped && cmp stty-before stty-after
}
check 'Ctrl-Z gives the terminal back, fg takes it again' suspended

cat >editor.sh <<'END'
#!/bin/sh
kill -TSTP 0
echo 'a dog, night sky' >"$1"
END
chmod +x editor.sh
stopped_outside() { # in $VISUAL
    scene outside.json
    VISUAL=$work/editor.sh tmux_run 80x24 bash --norc <<END && modes_restored && has outside.json 'a dog'
text set -m; PS1='prompt> '; "\$COUPLET" outside.json\n
expect r1 synced
key E
expect Stopped
expect-not canvas
text echo at the prompt\n
expect at the prompt
text fg\n
expect a dog
key s
expect saved outside.json
key q
expect prompt>
text exit\n
waitexit 20 0
END
}
check 'Ctrl-Z in the editor that E starts does so too' stopped_outside

resumed() { # with a picture: text and picture are there again
    scene resume.json
    xterm_run 120x40 bash --norc <<END && modes_restored
text set -m; PS1='prompt> '; "\$COUPLET" --generate resume.json\n
expect current
settle 1.5 30
key C-z
expect Stopped
text fg\n
expect ▸ 1    0.000  0.500
expect current
settle 1.5 30
shot resumed.png
key q
expect prompt>
text exit\n
waitexit 20 0
END
    rendered resume.json resume.png && last_sixel 120x40 resumed-sixel.png && equal_png resume.png resumed-sixel.png && painted_again
}
painted_again() { python3 -c 'import sys; b = open(sys.argv[1], "rb").read(); sys.exit(b.rfind(b"\x1bP") < b.rfind(b"Stopped"))' "$record"; }
check 'Ctrl-Z and fg in xterm: picture and text are painted again' resumed

cat >hangup.py <<'END'
import fcntl, os, pty, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm-256color'
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
seen, sent, end = b'', False, time.monotonic() + 60
while b'[+]' not in seen and time.monotonic() < end:
    seen += os.read(fd, 65536)
    if not sent and b'synced' in seen:
        sent = os.write(fd, b'L')
os.close(fd)                         # the connection is lost
while time.monotonic() < end:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        sys.exit(0 if b'[+]' in seen else 'the edit was not seen')
    time.sleep(0.05)
os.kill(pid, 9)
sys.exit('the editor outlived its terminal')
END
hung_up() { scene lost.json && python3 hangup.py "$COUPLET" lost.json >"$said" 2>&1; }
check 'a lost connection ends the editor' hung_up
check 'and unsaved work is kept' kept lost.json

check 'no process is left' no_strays
check 'nor a temporary file' no_files "$TMPDIR"
finish
