/* input_private.h: what the files of the input parser share. */
#ifndef TUI_INPUT_PRIVATE_H
#define TUI_INPUT_PRIVATE_H

#include "input.h"

#define INPUT_SEQUENCE_MAX 128    /* parameter bytes of one control sequence; longer ones are swallowed */
#define INPUT_STRING_MAX 65536    /* bytes of an OSC, DCS or APC before it is given up */
#define INPUT_PASTE_MAX (1 << 20) /* bytes of one paste; the rest is dropped */

typedef enum csi_result { CSI_NOTHING, CSI_EVENT, CSI_PASTE } csi_result;
/* `sequence`: all between CSI and its final byte. */
csi_result input_csi_decode(const char *sequence, int length, char final, input_event *event);
bool input_osc_decode(const char *string, int length, input_event *event); /* false: nothing of ours */
bool input_ss3_decode(char final, input_event *event);
bool input_linux_decode(char final, input_event *event); /* CSI [ A ... E */
/* The button code of a mouse report; false: nothing that we tell (motion without a button, a third wheel). Leaves
 * `button` 0 for a release that does not say of what. */
bool input_mouse_decode(int code, int column, int row, bool released, input_event *event);
void input_key_set(input_event *event, uint32_t key, unsigned modifiers);

#endif
