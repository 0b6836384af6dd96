#pragma once

#include "config/secret.hpp"

#include <cstddef>
#include <getopt.h>
#include <span>
#include <string>
#include <vector>

namespace pgtorii::admin {

/// Walks the options of a verb with getopt_long and gives what is none. `apply(option, argument)`
/// takes each; `refuse(lacks_value, word)` throws. All words may be secrets and are wiped, but for
/// those that are given back.
template <class Apply, class Refuse>
std::vector<std::string> read_options(std::span<const std::string> arguments,
                                      const char* short_options, const ::option* long_options,
                                      Apply apply, Refuse refuse)
{
    std::vector<std::string> texts{"pgtorii"};
    texts.insert(texts.end(), arguments.begin(), arguments.end());
    std::vector<char*> words;
    for (auto& each : texts) words.push_back(each.data());
    const auto count = static_cast<int>(words.size());
    words.push_back(nullptr);
    optind = 0;  // glibc: begin anew
    opterr = 0;
    for (;;) {
        const int found = ::getopt_long(count, words.data(), short_options, long_options, nullptr);
        if (found == -1) break;
        if (found == '?' || found == ':') {
            refuse(found == ':', std::string{words[static_cast<std::size_t>(optind) - 1]});
        }
        apply(found, optarg ? std::string{optarg} : std::string{});
    }
    std::vector<std::string> rest(words.begin() + optind, words.end() - 1);
    for (auto& each : texts) config::wipe(each);
    return rest;
}

}  // namespace pgtorii::admin
