/* plugins.c - the table; explicit, because constructors in an archive vanish unreferenced. */
#include "plugin/plugins.h"

const struct epp_plugin_type *const epp_plugins[] = {
#define EPP_PLUGIN(name) &epp_##name,
#include "plugin/plugin.def"
#undef EPP_PLUGIN
        NULL,
};
