// The compiled parts of Asio, once for the whole program; apart from the rest, for opi::pg needs no more.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
