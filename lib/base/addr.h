/* addr.h - IP literals and ip:port. Knows: slice. */
#ifndef EPP_ADDR_H
#define EPP_ADDR_H

#include "base/slice.h"

/* True for an IPv4 or IPv6 literal without brackets. */
bool epp_is_ip(struct epp_slice text);
/* Splits "ip:port" / "[ip6]:port"; the parts point into <addr>. Port 1 to 65535, ip a literal.
 * Returns false for anything else. */
bool epp_addr_split(struct epp_slice addr, struct epp_slice *ret_ip, unsigned *ret_port);

#endif
