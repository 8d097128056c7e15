"""Every reason the service can give, once, with the sentence for people in Chinese and in English.

The codes are the contract's: never reused, never renumbered; new ones are added at the end of their group. The
Chinese sentence is what a clerk reads out at the counter, so it says what to do where something can be done.
"""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    # A request that is not acceptable (rejected), in order of precedence.
    MALFORMED = "malformed"
    SENDER_MISMATCH = "sender_mismatch"
    REPLY_QUEUE_NOT_ALLOWED = "reply_queue_not_allowed"
    REQUEST_CONFLICT = "request_conflict"
    REQUEST_CANCELLED = "request_cancelled"
    INSTITUTION_UNKNOWN = "institution_unknown"
    INSTITUTION_SUSPENDED = "institution_suspended"
    INSTITUTION_NOT_ALLOWED = "institution_not_allowed"
    # Right after reply_queue_not_allowed in precedence.
    SIGNATURE_INVALID = "signature_invalid"
    # The patient (declined), in order of precedence.
    PERSON_UNKNOWN = "person_unknown"
    CREDENTIAL_MISMATCH = "credential_mismatch"
    PERSON_NOT_INSURED = "person_not_insured"
    EXPENSE_NOT_COVERED = "expense_not_covered"
    # Mutual aid, from farthest from success to nearest.
    MUTUAL_AID_NOT_REQUESTED = "mutual_aid_not_requested"
    OWN_BALANCE_INSUFFICIENT = "own_balance_insufficient"
    NO_BINDING = "no_binding"
    KINSHIP_ACCOUNT_ONLY = "kinship_account_only"
    REGION_NOT_CONNECTED = "region_not_connected"
    PAYER_NOT_ELIGIBLE = "payer_not_eligible"
    PAYER_ACCOUNT_FROZEN = "payer_account_frozen"
    EXPENSE_NOT_SHARED = "expense_not_shared"
    AUTHORISED_LIMIT_EXCEEDED = "authorised_limit_exceeded"
    PAYER_BALANCE_ZERO = "payer_balance_zero"
    RICHEST_PAYER_INSUFFICIENT = "richest_payer_insufficient"
    # Credit.
    PERSON_NOT_EMPLOYEE = "person_not_employee"
    # Refunds.
    ORIGINAL_NOT_FOUND = "original_not_found"
    NOTHING_LEFT_TO_REFUND = "nothing_left_to_refund"
    REFUND_EXCEEDS_REMAINING = "refund_exceeds_remaining"
    # Transfers into a relative's wallet, in order of precedence.
    NOT_RELATED = "not_related"
    TRANSFER_CLOSED_HOURS = "transfer_closed_hours"
    TRANSFER_LIMIT_REACHED = "transfer_limit_reached"
    BALANCE_INSUFFICIENT = "balance_insufficient"
    TRANSFER_RETURNED = "transfer_returned"
    RECEIVER_MOVED = "receiver_moved"
    RECEIVER_ACCOUNT_FROZEN = "receiver_account_frozen"
    # Bindings, in the order in which they are named.
    SELF_BINDING = "self_binding"
    PAYER_UNKNOWN = "payer_unknown"
    BENEFICIARY_UNKNOWN = "beneficiary_unknown"
    PAYER_NOT_EMPLOYEE = "payer_not_employee"
    PAYER_NOT_ACTIVE = "payer_not_active"
    BENEFICIARY_NOT_INSURED = "beneficiary_not_insured"
    RELATION_NOT_ALLOWED = "relation_not_allowed"
    ALREADY_BOUND = "already_bound"
    MEMBER_LIMIT_REACHED = "member_limit_reached"
    RELATION_LIMIT_REACHED = "relation_limit_reached"
    PAYER_LIMIT_REACHED = "payer_limit_reached"
    BOUND_TOO_RECENTLY = "bound_too_recently"
    # The HTTP door.
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    INTERNAL_ERROR = "internal_error"
    AMQP_USER_TAKEN = "amqp_user_taken"
    FILE_UNDER_WAY = "file_under_way"
    TOO_MANY_DIFFERENCES = "too_many_differences"


class Text(NamedTuple):
    chinese: str
    english: str


TEXTS: dict[Reason, Text] = {
    Reason.MALFORMED: Text("报文不符合接口规范，请联系系统维护人员检查后重发。", "The request is not well formed."),
    Reason.SENDER_MISMATCH: Text(
        "发送账号与定点医药机构不符，请核对接入账号。",
        "The sender is not this institution's registered user.",
    ),
    Reason.REPLY_QUEUE_NOT_ALLOWED: Text(
        "应答队列不属于发送账号，请改用本机构的应答队列。", "The reply queue does not belong to the sender."
    ),
    Reason.REQUEST_CONFLICT: Text(
        "该流水号已用于内容不同的另一笔交易，请更换流水号后重发。",
        "This request id was already used for other content; use a new one.",
    ),
    Reason.REQUEST_CANCELLED: Text("该笔交易已被冲正，不再受理。", "This request has been cancelled."),
    Reason.INSTITUTION_UNKNOWN: Text("定点医药机构未登记，请先办理登记。", "The institution is not registered."),
    Reason.INSTITUTION_SUSPENDED: Text("该定点医药机构已被暂停结算。", "The institution is suspended."),
    Reason.INSTITUTION_NOT_ALLOWED: Text(
        "该机构无权办理此类业务。", "This kind of institution may not send this request."
    ),
    Reason.SIGNATURE_INVALID: Text(
        "请求的数字签名缺失或验证不通过。", "The request is not signed, or its signature does not hold."
    ),
    Reason.PERSON_UNKNOWN: Text(
        "在参保地查不到该人员，请核对个人编号和参保地。",
        "The person is not known where they are said to be insured.",
    ),
    Reason.CREDENTIAL_MISMATCH: Text(
        "出示的不是患者本人的就诊凭证；钱可以共济，卡不能共用，请出示患者本人的凭证。",
        "The credential is not the patient's own: money may be shared, cards may not.",
    ),
    Reason.PERSON_NOT_INSURED: Text(
        "该人员未正常参保，请先办理参保或恢复缴费。", "The person is not actively insured."
    ),
    Reason.EXPENSE_NOT_COVERED: Text("此类费用不属于个人账户支付范围。", "Personal accounts never cover this expense."),
    Reason.MUTUAL_AID_NOT_REQUESTED: Text(
        "本次结算未要求使用家庭共济，余额不足部分请自付。", "Mutual aid was not requested for what is left."
    ),
    Reason.OWN_BALANCE_INSUFFICIENT: Text(
        "本人账户余额不足以支付全部费用，本次未扣款。",
        "The patient's own accounts cannot cover it all; nothing was debited.",
    ),
    Reason.NO_BINDING: Text(
        "没有人为该患者办理家庭共济绑定，可由职工亲属先办理共济绑定。",
        "Nobody has bound this patient for mutual aid.",
    ),
    Reason.KINSHIP_ACCOUNT_ONLY: Text(
        "绑定的是亲情账户，只能代为展示医保码，不能共济付款；请由职工亲属另行办理家庭共济绑定。",
        "Only a kinship account is linked: it shows a code and moves no money. Bind mutual aid as well.",
    ),
    Reason.REGION_NOT_CONNECTED: Text(
        "共济人与被共济人不在可以共济的统筹区内。",
        "Payer and beneficiary are not in connected pooling areas.",
    ),
    Reason.PAYER_NOT_ELIGIBLE: Text(
        "共济人目前不是正常参保的职工，不能为亲属付款。", "The payer is not an actively insured employee."
    ),
    Reason.PAYER_ACCOUNT_FROZEN: Text(
        "共济人（或转账接收人）的个人账户已冻结。",
        "The personal account of the payer, or of a transfer's receiver, is frozen.",
    ),
    Reason.EXPENSE_NOT_SHARED: Text(
        "共济人参保地未开通此类费用的家庭共济。", "The payer's region does not share for this expense."
    ),
    Reason.AUTHORISED_LIMIT_EXCEEDED: Text(
        "超出共济人授权的年度限额。", "The yearly limit of the binding leaves less than the shortfall."
    ),
    Reason.PAYER_BALANCE_ZERO: Text("共济人可共济的账户余额为零。", "The payer has nothing that can be shared."),
    Reason.RICHEST_PAYER_INSUFFICIENT: Text(
        "余额最多的共济人也不足以支付全部差额；共济不能多人拼付，差额请自付。",
        "The richest payer cannot cover the whole shortfall; payers are never combined.",
    ),
    Reason.PERSON_NOT_EMPLOYEE: Text(
        "该人员不是职工医保参保人，没有个人账户。", "Only employees have a personal account."
    ),
    Reason.ORIGINAL_NOT_FOUND: Text(
        "查不到要退费的原结算，请核对原流水号。", "There is no settlement under the original's id."
    ),
    Reason.NOTHING_LEFT_TO_REFUND: Text("原结算已无可退金额。", "Of the original nothing is left to give back."),
    Reason.REFUND_EXCEEDS_REMAINING: Text(
        "退费金额超过原结算剩余可退金额。", "That is more than is left of the original."
    ),
    Reason.NOT_RELATED: Text(
        "转出人未为接收人开通医保钱包转账，请先以近亲属身份办理家庭共济绑定并开通钱包；亲情账户只能展示医保码，不能用于转账。",
        "No binding with the wallet opened stands between giver and receiver; a kinship account moves no money.",
    ),
    Reason.TRANSFER_CLOSED_HOURS: Text(
        "当前为医保钱包停止转账时段，请在开放时间内办理。", "Transfers are closed at this hour."
    ),
    Reason.TRANSFER_LIMIT_REACHED: Text(
        "超出医保钱包单笔限额或当日转账次数上限。",
        "The amount is above the limit of one transfer, or the day's transfers are used up.",
    ),
    Reason.BALANCE_INSUFFICIENT: Text(
        "账户余额不足，本次未扣款。", "The account holds less than that; nothing was moved."
    ),
    Reason.TRANSFER_RETURNED: Text(
        "该笔转账逾期未接收，款项已退回转出人。", "Nobody accepted the transfer in time; the money has gone back."
    ),
    Reason.RECEIVER_MOVED: Text(
        "接收人已转到外省参保，不能接收这笔转账；款项到期退回转出人，可按新的参保地重新转账。",
        "The receiver is no longer insured in the province it was sent to; it goes back and may be sent anew.",
    ),
    Reason.RECEIVER_ACCOUNT_FROZEN: Text(
        "接收人的个人账户已冻结，不能接收转账，请先向参保地医保经办机构申请解冻。",
        "The receiver's account is frozen and receives nothing until it is released.",
    ),
    Reason.SELF_BINDING: Text("不能与本人建立共济关系。", "Payer and beneficiary are the same person."),
    Reason.PAYER_UNKNOWN: Text("查不到共济人的参保信息。", "The payer is not known."),
    Reason.BENEFICIARY_UNKNOWN: Text("查不到被共济人的参保信息。", "The beneficiary is not known."),
    Reason.PAYER_NOT_EMPLOYEE: Text("共济人必须是职工医保参保人。", "Only an employee can be a payer."),
    Reason.PAYER_NOT_ACTIVE: Text("共济人的职工医保不在正常参保状态。", "The payer's insurance is not active."),
    Reason.BENEFICIARY_NOT_INSURED: Text(
        "被共济人未正常参加基本医疗保险。", "The beneficiary is not actively insured."
    ),
    Reason.RELATION_NOT_ALLOWED: Text(
        "共济人参保地不允许与此类亲属共济。", "The payer's region does not allow this relation."
    ),
    Reason.ALREADY_BOUND: Text("双方已有有效的共济关系，无需重复绑定。", "The two are already bound."),
    Reason.MEMBER_LIMIT_REACHED: Text(
        "共济人绑定的亲属已达人数上限。", "The payer has bound as many relatives as allowed."
    ),
    Reason.RELATION_LIMIT_REACHED: Text(
        "共济人绑定的此类亲属已达人数上限。", "The payer has bound as many of this relation as allowed."
    ),
    Reason.PAYER_LIMIT_REACHED: Text(
        "被共济人的共济人已达人数上限。", "The beneficiary has as many payers as allowed."
    ),
    Reason.BOUND_TOO_RECENTLY: Text("绑定时间过短，尚不能解除。", "The binding is too recent to be ended."),
    Reason.UNAUTHENTICATED: Text("未登录或登录已失效，请重新登录。", "A valid bearer token is needed."),
    Reason.FORBIDDEN: Text("无权进行此操作。", "This token may not do that."),
    Reason.NOT_FOUND: Text("查无此记录。", "There is no such thing."),
    Reason.INVALID: Text("提交的内容有误，请按提示修改。", "The request has invalid fields."),
    Reason.RATE_LIMITED: Text("操作过于频繁，请稍后再试。", "Too many requests; try again later."),
    Reason.UNAVAILABLE: Text("服务暂不可用，请稍后再试。", "The service is not available at the moment."),
    Reason.METHOD_NOT_ALLOWED: Text(
        "该地址不支持此请求方法，请按接口文档调用。", "There is such a path, but not by this method."
    ),
    Reason.TOO_LARGE: Text("提交的内容过大，请按提示缩减后重发。", "The request is larger than is accepted."),
    Reason.INTERNAL_ERROR: Text(
        "系统内部出错，请稍后重试；如仍出错，请联系系统维护人员。",
        "Something went wrong on our side; try again, and report it if it happens again.",
    ),
    Reason.AMQP_USER_TAKEN: Text(
        "该消息服务器账号已属于另一家机构，不能再登记给本机构，请另用账号。",
        "This user of the broker is another institution's, and so cannot be this one's.",
    ),
    Reason.FILE_UNDER_WAY: Text(
        "该机构已有一份对账文件正在上传或核对，请在对账列表中确认其结束后再发送本文件。",
        "Another file of this institution is under way: send this one once the list of reconciliations shows that one ended.",
    ),
    Reason.TOO_MANY_DIFFERENCES: Text(
        "该机构二十四小时内的对账差异超过保存上限，本文件未予保存；请核对日期、参保省份和金额后重发，或稍后再发。",
        "More differs than is kept of an institution within 24 hours, and nothing of this file was: check its day, province and amounts, or send it later.",
    ),
}
