//! The report's part about CPU time per request.

use std::path::PathBuf;

use crate::policy::By;
use crate::report::{Report, figure, spread};
use crate::requests::{
    Asks, BETA, Costs, EDGE, LUA, NATIVE, PLAIN, RULES, beside, native, rollouts, rules,
};

/// Adds the tables and the goals about `costs`.
pub(crate) fn add(report: &mut Report, costs: &Costs, others: &[PathBuf]) {
    one_rule(report, costs, others);
    many_rules(report, costs);
}

/// No rule matches, the one rule matches; beside Lua.
fn one_rule(report: &mut Report, costs: &Costs, others: &[PathBuf]) {
    report.head(&[
        "one rule; CPU time of Envoy per request",
        ">no filter, µs",
        ">Lua: extra, µs",
        ">filter: extra, µs",
        ">filter / Lua",
    ]);
    let asked = [
        (Asks::Few, "no match, few headers", 0.9),
        (Asks::Many, "no match, 20 headers", 0.9),
        (
            Asks::Beta,
            "match: route checked, lane set, route chosen again",
            1.5,
        ),
    ];
    let filters = [BETA.to_owned(), EDGE.to_owned()];
    let filters = filters
        .into_iter()
        .chain(others.iter().map(|path| beside(path)));
    for filter in filters {
        for (asks, name, most) in asked {
            let (lua, extra) = (costs.extra(LUA, asks), costs.extra(&filter, asks));
            let ratio = extra.value / lua.value;
            let name = match filter.as_str() {
                BETA => {
                    report.goal(
                        &format!("{name}: extra CPU time of Lua's"),
                        ratio,
                        most,
                        " x",
                    );
                    name.to_owned()
                }
                _ => format!("{name} ({filter})"),
            };
            report.row(&[
                name,
                spread(costs.cost(PLAIN, asks)),
                spread(lua),
                spread(extra),
                figure(ratio),
            ]);
        }
    }
}

/// Many rules, beside one and beside native routes.
fn many_rules(report: &mut Report, costs: &Costs) {
    report.head(&[
        "many; CPU time of Envoy per request",
        ">extra, µs",
        ">of 1 rule's",
    ]);
    let one = rules(By::Exact, 1);
    let none = costs.extra(&one, Asks::Nobody).value;
    let hit = costs.extra(&one, Asks::User(0)).value;
    let mut row = |name: &str, listener: &str, asks: Asks, of: f64| {
        let extra = costs.extra(listener, asks);
        report.row(&[name.to_owned(), spread(extra), figure(extra.value / of)]);
    };
    for (by, count) in RULES {
        let listener = rules(by, count);
        row(
            &format!("{listener}, no match"),
            &listener,
            Asks::Nobody,
            none,
        );
        if by == By::Exact {
            let last = Asks::User(count - 1);
            row(
                &format!("{listener}, the last one matches"),
                &listener,
                last,
                hit,
            );
        }
    }
    let listener = rollouts();
    let matching = format!("{listener}, the one of its host matches");
    row(
        &format!("{listener}, no match"),
        &listener,
        Asks::Nobody,
        none,
    );
    row(&matching, &listener, Asks::User(0), hit);
    for count in NATIVE {
        row(
            &format!("{}, no match", native(count)),
            &native(count),
            Asks::Nobody,
            none,
        );
    }
    let many = rules(By::Exact, 10_000);
    let ratio = |asks, of: f64| costs.extra(&many, asks).value / of;
    let asked = "10,000 rules, extra CPU time of 1 rule's";
    report.goal(
        &format!("{asked}, no match"),
        ratio(Asks::Nobody, none),
        1.1,
        " x",
    );
    report.goal(
        &format!("{asked}, the last one matches"),
        ratio(Asks::User(9_999), hit),
        1.1,
        " x",
    );
    let routes = costs.extra(&native(1_000), Asks::Nobody).value;
    let thousand = costs.extra(&rules(By::Exact, 1_000), Asks::Nobody).value;
    report.goal(
        "1,000 rules, extra CPU time of 1,000 native routes'",
        thousand / routes,
        0.125,
        " x",
    );
}
