#include "primitive_peers.h"
int
main(int argc, char **argv)
{
    return peer_main(argc, argv, measure_primitive_peer);
}
