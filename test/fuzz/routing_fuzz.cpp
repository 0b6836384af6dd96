#include "routing/decision.hpp"
#include "routing/fact_cache.hpp"
#include "routing/rules.hpp"
#include "routing/session_tracker.hpp"
#include "test/unit/routing/facts_dump.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

using namespace pgtorii;
using namespace pgtorii::routing;

namespace {

ha::cluster_view two_nodes()
{
    ha::cluster_view view;
    view.nodes.resize(2);
    for (auto& node : view.nodes) node.status = ha::node_status::up;
    view.nodes[1].id = 1;
    view.primary = 0;
    return view;
}

void require(bool holds)
{
    if (!holds) __builtin_trap();
}

}  // namespace

/// libFuzzer's entry: any bytes as SQL. The cache, which remembers earlier inputs, must answer as
/// analysis does, an explanation must agree with the decision, and no text that could not be parsed
/// may leave the primary.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static fact_cache cache({}, {}, 1);
    static analyzer direct({});
    static const rules plain{routing_parameters{}};
    static const auto view = two_nodes();
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto cached = cache.find_or_analyze(text, {});
    const auto facts = direct.analyze(text);
    require(dump(*cached) == dump(facts));

    session_tracker tracker;
    tracker.sent(facts, plain);
    for (const auto& each : facts.statements) tracker.completed(each, "COMMIT");
    tracker.ready('T');
    for (const auto& session : {session_traits{}, tracker.traits()}) {
        const auto found = decide(facts, session, view, plain);
        const auto verdicts = explain(facts, session, view, plain);
        require(!lines_of(found, -1, verdicts).empty());
        for (const auto& each : verdicts) require(!each.decides || each.reason == found.reason);
        require(facts.is_parsed || found.target != target::balanced);
    }
    return 0;
}
