/* config.h: the user's own defaults for options. */
#ifndef TUI_CONFIG_H
#define TUI_CONFIG_H

#include "options.h"

/* Reads $XDG_CONFIG_HOME/couplet/config, where there is one, into what the command line will say more: a line for each option,
 * "NAME VALUE", # begins a comment. False: a line is wrong, and `why` names file and line. To be called once
 * the command is known and before its options are read; values stay valid as long as the process. */
bool config_read(arguments *arguments, char *why, size_t why_size);

#endif
