"""What is said to people beside the reasons' own sentences: each once, in Chinese and in English beside each other.

A word in braces is filled in by `Phrase`; both languages have the same ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.reasons import Text


class Language(StrEnum):
    CHINESE = "zh-CN"
    ENGLISH = "en"

    def of(self, text: Text) -> str:
        return text.english if self is Language.ENGLISH else text.chinese


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence with its words, not yet in a language."""

    text: Text
    words: Mapping[str, Text | str] = field(default_factory=dict)

    def read(self, language: Language) -> str:
        spoken = {name: language.of(word) if isinstance(word, Text) else word for name, word in self.words.items()}
        return language.of(self.text).format(**spoken)


def say(text: Text, **words: Text | str) -> Phrase:
    return Phrase(text, words)


class Check(StrEnum):
    """What is looked at, in order."""

    BENEFICIARY_KNOWN = "beneficiary_known"
    BENEFICIARY_INSURED = "beneficiary_insured"
    EXPENSE_COVERED = "expense_covered"
    OWN_MONEY_SUFFICES = "own_money_suffices"
    BOUND = "bound"
    REGION_CONNECTED = "region_connected"
    PAYER_ELIGIBLE = "payer_eligible"
    ACCOUNT_NOT_FROZEN = "account_not_frozen"
    EXPENSE_SHARED = "expense_shared"
    WITHIN_YEARLY_LIMIT = "within_yearly_limit"
    HAS_USABLE_BALANCE = "has_usable_balance"
    IS_THE_RICHEST = "is_the_richest"
    CAN_PAY_THE_WHOLE = "can_pay_the_whole"


RULES: dict[Check, Text] = {
    Check.BENEFICIARY_KNOWN: Text("被共济人须已参保登记。", "The beneficiary must be registered as insured."),
    Check.BENEFICIARY_INSURED: Text(
        "被共济人须正常参加基本医疗保险，职工医保、居民医保均可。",
        "The beneficiary must be actively enrolled in basic medical insurance, as an employee or as a resident.",
    ),
    Check.EXPENSE_COVERED: Text(
        "公共卫生、体育健身、养生保健费用一律不得由个人账户支付。",
        "Personal accounts never cover public-health charges, sport and fitness, or wellness.",
    ),
    Check.OWN_MONEY_SUFFICES: Text(
        "先用患者本人的个人账户和医保钱包，不足部分才使用家庭共济。",
        "The patient's own account and wallet pay first; only what is left asks for mutual aid.",
    ),
    Check.BOUND: Text(
        "须由职工亲属为被共济人办理家庭共济绑定，且绑定当前有效；亲情账户只能展示医保码，不能付款。",
        "An employed relative must have bound the beneficiary for mutual aid, and the binding must be valid today; "
        "a kinship account only shows a code.",
    ),
    Check.REGION_CONNECTED: Text(
        "双方须在同一统筹区参保，或在同一省参保且两地都已开通省内共济；跨省只能使用医保钱包。",
        "Both must be insured in one pooling area, or in one province where both areas have opened sharing; "
        "across provinces only the wallet can be used.",
    ),
    Check.PAYER_ELIGIBLE: Text(
        "只有正常参加职工医保的人才能为亲属付款。", "Only an actively insured employee can pay for a relative."
    ),
    Check.ACCOUNT_NOT_FROZEN: Text(
        "共济人的个人账户不能处于冻结状态。", "The payer's personal account must not be frozen."
    ),
    Check.EXPENSE_SHARED: Text(
        "共济人参保地须已开通此类费用的家庭共济。", "The payer's region must share for this kind of expense."
    ),
    Check.WITHIN_YEARLY_LIMIT: Text(
        "绑定时约定的和参保地规定的年度限额，以较低者为准，剩余额度须够付全部差额。",
        "What is left of the yearly limit, the smaller of the binding's and the region's, must cover the whole shortfall.",
    ),
    Check.HAS_USABLE_BALANCE: Text(
        "共济人参保地允许共济的是{funds}，须有余额。",
        "The payer's region lets {funds} be shared; there must be something.",
    ),
    Check.IS_THE_RICHEST: Text(
        "只由可共济余额最多的共济人付款，余额相同的以绑定最早者为准；不能多人拼付，也不改由余额次之者支付。",
        "Only the relative with the most to share pays, among equals the one bound earliest; payers are never "
        "combined, and the second richest never pays instead.",
    ),
    Check.CAN_PAY_THE_WHOLE: Text(
        "付款的共济人须一次付清本人账户付不完的全部差额。",
        "The payer must cover the whole of what the patient's own money leaves.",
    ),
}

KEEPS_SOME = Text(
    "共济人参保地允许共济的是{funds}，其中须保留{keep}元，扣除后须有余额。",
    "The payer's region lets {funds} be shared, less {keep} yuan that must be kept; something must be left.",
)

# What to do where a check fails and nothing nearer is known.
ADVICE: dict[Check, Text] = {
    Check.BENEFICIARY_KNOWN: Text(
        "请核对个人编号；尚未参保的，请先到参保地医保经办机构办理参保登记。",
        "Check the person id; somebody who is not insured yet enrols at the local insurance agency first.",
    ),
    Check.BENEFICIARY_INSURED: Text(
        "请被共济人先办理参保或恢复缴费，状态正常后即可使用。",
        "The beneficiary should enrol or resume paying; mutual aid works again once the enrolment is active.",
    ),
    Check.EXPENSE_COVERED: Text("此类费用请自付。", "Pay this expense by other means."),
    Check.BOUND: Text(
        "请由正常参保的职工亲属在手机上或到医保大厅办理家庭共济绑定。",
        "An actively insured, employed relative should bind the beneficiary for mutual aid, on a phone or at the counter.",
    ),
    Check.REGION_CONNECTED: Text(
        "请由同一统筹区的亲属绑定，或向双方参保地医保经办机构了解省内共济何时开通；在此之前差额请自付。",
        "Let a relative in the same pooling area bind, or ask both agencies when sharing within the province opens; "
        "until then pay the difference by other means.",
    ),
    Check.PAYER_ELIGIBLE: Text(
        "共济人恢复职工参保后即可使用；也可由其他正常参保的职工亲属绑定。",
        "It works again once the payer is insured as an employee; another employed relative may bind as well.",
    ),
    Check.ACCOUNT_NOT_FROZEN: Text(
        "请共济人联系参保地医保经办机构，了解冻结原因并申请解冻。",
        "The payer should ask the local insurance agency why the account is frozen and apply to have it released.",
    ),
    Check.EXPENSE_SHARED: Text(
        "此类费用请用患者本人账户支付或自付；是否开通以共济人参保地规定为准。",
        "Pay this expense from the patient's own account or by other means; the payer's region decides what is shared.",
    ),
    Check.WITHIN_YEARLY_LIMIT: Text(
        "差额请自付；额度自明年1月1日起重新计算。",
        "Pay the difference by other means; the limit starts anew on 1 January.",
    ),
    Check.HAS_USABLE_BALANCE: Text(
        "待共济人的个人账户有可共济的资金入账后即可使用；在此之前差额请自付。",
        "It works once money that may be shared has come into the payer's account; until then pay by other means.",
    ),
    Check.IS_THE_RICHEST: Text(
        "无需办理任何手续，结算时系统会自动选定付款人。",
        "There is nothing to do: the settlement picks the payer by itself.",
    ),
    Check.CAN_PAY_THE_WHOLE: Text(
        "差额请自付，或待该共济人余额充足后再使用。",
        "Pay the difference by other means, or wait until this payer's balance suffices.",
    ),
}
WAIT_UNTIL_IT_STARTS = Text("绑定自{start}起生效，届时即可使用。", "The binding starts on {start}; wait until then.")
BIND_AGAIN = Text(
    "共济关系已终止，请由该职工亲属重新办理家庭共济绑定。",
    "The binding is over; the employed relative may bind the beneficiary again.",
)
BIND_ANEW = Text(
    "待共济人恢复职工参保后重新办理绑定；也可由其他正常参保的职工亲属绑定。",
    "Bind anew once the payer is insured as an employee again; another employed relative may bind as well.",
)
BIND_BESIDES_KINSHIP = Text(
    "亲情账户不能共济付款，请由职工亲属另行办理家庭共济绑定。",
    "A kinship account moves no money; the employed relative should bind the beneficiary for mutual aid as well.",
)
USE_THE_WALLET = Text(
    "跨省不能直接共济，请通过医保钱包把钱转给亲属使用。",
    "Across provinces, transfer money into the relative's medical-insurance wallet instead.",
)
FIRST_THE_REST = Text("请先解决上面未通过的项目。", "Put right first what has failed above.")
RICHEST_FALLS_SHORT = Text(
    "余额最多的共济人付不清差额，差额请自付。",
    "The richest payer cannot cover the shortfall; pay the difference by other means.",
)

# ---- what was seen ----

NOT_REGISTERED = Text("查不到该人员的参保登记。", "There is no such insured person.")
REGISTERED = Text("已参保登记。", "Registered.")
ENROLLED = Text("{insurance}，{status}。", "{insurance}, {status}.")
EXPENSE = Text("费用类别：{expense}。", "The expense is {expense}.")
OWN_MONEY = Text(
    "个人账户支付{own}元，医保钱包支付{wallet}元，无需共济。",
    "The own account pays {own} yuan, the wallet {wallet} yuan; mutual aid is not needed.",
)
BOUND_SINCE = Text("共济关系自{start}起有效。", "Bound since {start}.")
BOUND_UNTIL = Text("共济关系自{start}起有效，{end}起失效。", "Bound from {start} up to and not including {end}.")
BOUND_BY = Text("当前有{count}位亲属办理了绑定。", "Relatives with a binding valid today: {count}.")
STARTS_LATER = Text("已绑定，自{start}起生效，目前尚未生效。", "Bound, but only from {start} on.")
WAS_OVER = Text("共济关系已于{end}终止（{cause}）。", "The binding was over on {end} ({cause}).")
KINSHIP_ONLY = Text("只绑定了亲情账户，没有家庭共济绑定。", "Only a kinship account is linked; there is no binding.")
NOT_BOUND = Text("没有家庭共济绑定。", "There is no binding for mutual aid.")
ONE_POOLING_AREA = Text("双方在同一统筹区参保。", "Both are insured in one pooling area.")
ONE_OPEN_PROVINCE = Text("双方同省，两地都已开通省内共济。", "One province, and both areas have opened sharing.")
ONE_CLOSED_PROVINCE = Text(
    "双方同省但不在同一统筹区，且未都开通省内共济。",
    "One province but two pooling areas, which have not both opened sharing.",
)
TWO_PROVINCES = Text("双方在不同省份参保。", "They are insured in different provinces.")
CLOSED_TODAY = Text("共济关系已于今日自动终止：{cause}。", "The binding ended by itself today: {cause}.")
PAYER_GONE = Text("共济人已不在原参保地参保。", "The payer is no longer insured there.")
IN_REGIONS = Text(
    "{seen}共济人参保地{payer}，被共济人参保地{beneficiary}。", "{seen} Payer in {payer}, beneficiary in {beneficiary}."
)
ELIGIBLE = Text("共济人是正常参保的职工。", "The payer is an actively insured employee.")
NOT_ELIGIBLE = Text("共济人目前不是正常参保的职工。", "The payer is not an actively insured employee at present.")
NOT_FROZEN = Text("个人账户未冻结。", "The account is not frozen.")
FROZEN = Text("个人账户已冻结。", "The account is frozen.")
SHARED = Text("{expense}费用可以共济。", "For {expense} the payer's region shares.")
NOT_SHARED = Text("{expense}费用未开通共济。", "For {expense} the payer's region does not share.")
NO_LIMIT = Text("没有年度限额。", "There is no yearly limit.")
LIMIT = Text(
    "本年已用{used}元，剩余额度{left}元。", "{used} yuan were used this year; {left} yuan are left of the limit."
)
USABLE = Text("可共济余额{usable}元。", "{usable} yuan can be shared.")
SOMETHING = Text("有可共济余额。", "There is something to share.")
NOTHING = Text("可共济余额为零。", "There is nothing to share.")
NOT_RANKED = Text("上面有项目未通过，不参与比较。", "Not compared, because a check above has failed.")
THE_RICHEST = Text("在各共济人中可共济余额最多。", "The one with the most to share.")
NOT_THE_RICHEST = Text("另有亲属排在前面。", "Not the richest: another relative comes first.")
RICHEST_IS = Text(
    "排在最前的是{payer_id}，可共济余额{usable}元。", "Not the richest: {payer_id} has {usable} yuan to share."
)
COVERS = Text("足以付清差额。", "Enough for the whole shortfall.")
FALLS_SHORT = Text("不足以付清差额。", "Not enough for the whole shortfall.")
AGAINST = Text(
    "差额{shortfall}元，可共济余额{usable}元。", "The shortfall is {shortfall} yuan; {usable} yuan can be shared."
)

# ---- kinship links, where they are taken for mutual aid ----

LINK_TO_ONESELF = Text(
    "亲情账户用于展示他人的医保码；本人的医保码本人即可展示，无需建立。",
    "A kinship link is for showing somebody else's code: everybody shows their own without one.",
)
HOLDER_UNKNOWN = Text("查不到展示人的参保信息。", "The holder, who shows the code, is not known.")
SHOWN_UNKNOWN = Text("查不到被展示人的参保信息。", "The one whose code is to be shown is not known.")
IS_A_LINK = Text(
    "该编号是亲情账户，不是共济关系；亲情账户不付款，请按亲情账户解除。",
    "This id is of a kinship link, which moves no money, and not of a binding; end it as a kinship link.",
)
IS_A_BINDING = Text(
    "该编号是共济关系，不是亲情账户；请按共济关系解除。",
    "This id is of a binding and not of a kinship link; end it as a binding.",
)
