#include "ha/error.hpp"

#include <string>

namespace pgtorii::ha {
namespace {

const char* text_of(errc value)
{
    switch (value) {
    case errc::connect_late: return "no connection within connect_timeout";
    case errc::check_late: return "no answer within health_check_timeout";
    case errc::name_unresolved: return "host name does not resolve";
    case errc::socket_path_too_long: return "path of the Unix-domain socket is too long";
    case errc::connection_lost: return "server closed the connection";
    case errc::reply_unexpected: return "server sent a message that does not fit";
    case errc::reply_malformed: return "server sent a malformed message";
    case errc::reply_too_big: return "server sent more than a check may get";
    case errc::password_missing: return "server asks for a password, and none is configured";
    case errc::authentication_unsupported:
        return "server asks for an authentication method that is not supported";
    case errc::server_refused: return "server refused";
    case errc::delays_malformed: return "output is not one line with one number for each standby";
    }
    return "unknown error of the server check";
}

class category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "pgtorii.ha"; }
    std::string message(int value) const override { return text_of(static_cast<errc>(value)); }
};

}  // namespace

const boost::system::error_category& error_category()
{
    static const category instance;
    return instance;
}

}  // namespace pgtorii::ha
