/* metricspec.h - which rows of which family, as flags write it: name{label=value,...}.
 * Knows: load. */
#ifndef EPP_METRICSPEC_H
#define EPP_METRICSPEC_H

#include "base/status.h"
#include "model/load.h"

/* Reads <text>, which is cut up: family and labels of *ret lead into it. Values may stand in
 * quotes. An empty text is no family. Returns 0, EPP_EINVAL (*ret unchanged, <text> spoilt). */
EPP_MUSTUSE int epp_metricspec_parse(char *text, struct epp_load_metric *ret);

#endif
