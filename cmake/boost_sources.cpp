// The compiled parts of Boost beside Asio (boost_asio.cpp), once for the whole program.
#include <boost/beast/src.hpp>
#include <boost/json/src.hpp>
#include <boost/url/src.hpp>
