/* plugins.h - the table of plugin types, by name. Knows: sched/plugin. */
#ifndef EPP_PLUGINS_H
#define EPP_PLUGINS_H

#include "sched/plugin.h"

#define EPP_PLUGIN(name) extern const struct epp_plugin_type epp_##name;
#include "plugin/plugin.def"
#undef EPP_PLUGIN

/* Ends with NULL. */
extern const struct epp_plugin_type *const epp_plugins[];

#endif
