#include "config/ident_map.hpp"
#include "config/pool_hba.hpp"
#include "test/unit/config/memory_files.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

using namespace pgtorii::config;

namespace {

void require(bool holds)
{
    if (!holds) __builtin_trap();
}

void check_remarks(const std::vector<diagnostic>& remarks)
{
    require(remarks.size() < 300);
    for (const auto& each : remarks) {
        for (const char c : to_text(each)) require(static_cast<unsigned char>(c) >= 0x20);
    }
}

}  // namespace

/// libFuzzer's entry: any bytes as pool_hba.conf and as pool_ident.conf. What stands behind the
/// first zero byte is a second file, "f", which the first one may name, and both may name
/// themselves. No file of this machine is read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto end = text.find('\0');
    std::map<std::string, std::string> files{{"/d/x.conf", "host all all all trust\n"}};
    if (end != text.npos) files["/f"] = text.substr(end + 1);
    const std::string main(text.substr(0, end));
    files["/m"] = main;
    const auto source = pgtorii::test::memory_files(files);

    const auto hba = load_pool_hba_text("/m", main, true, source);
    check_remarks(hba.diagnostics);
    require(hba.has_errors() == hba.rules.records().empty());
    hba_question asked;
    asked.database = asked.user = "postgres";
    asked.peer = *ip_address::parse("::ffff:10.0.0.1");
    for (int round = 0; round < 8; ++round) {
        asked.is_local = (round & 1) != 0;
        asked.is_encrypted = (round & 2) != 0;
        asked.replication = (round & 4) != 0 ? hba_replication::physical : hba_replication::none;
        asked.name = hba_question::name_state::not_asked;
        auto answer = hba.rules.match(asked);
        if (answer.what == hba_answer::kind::needs_name) {
            require(!asked.is_local);
            asked.name = hba_question::name_state::known;
            asked.peer_name = "db.example.com";
            answer = hba.rules.match(asked);
            require(answer.what != hba_answer::kind::needs_name);
        }
        require((answer.what == hba_answer::kind::found) == (answer.record != nullptr));
        require(!answer.record || answer.record->method != hba_method::ldap ||
                answer.record->ldap != nullptr);
    }

    const auto ident = load_ident_maps_text("/m", main, source);
    check_remarks(ident.diagnostics);
    for (const auto& each : ident.maps.entries())
        (void)ident.maps.allows(each.map, "alice@example.com", "alice");
    return 0;
}
