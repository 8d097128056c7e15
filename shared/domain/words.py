"""The words of the field for people, in Chinese and in English beside each other."""

from shared.domain.enrolment import EndCause, EnrolmentStatus, Insurance
from shared.domain.policy import ExpenseType, Funds
from shared.domain.reasons import Text

STATUS: dict[EnrolmentStatus, Text] = {
    EnrolmentStatus.ACTIVE: Text("正常参保", "active"),
    EnrolmentStatus.SUSPENDED: Text("暂停参保", "suspended"),
    EnrolmentStatus.ENDED: Text("终止参保", "ended"),
}
INSURANCE: dict[Insurance, Text] = {
    Insurance.EMPLOYEE: Text("职工医保", "Insured as an employee"),
    Insurance.RESIDENT: Text("居民医保", "Insured as a resident"),
}
EXPENSES: dict[ExpenseType, Text] = {
    ExpenseType.OUTPATIENT: Text("门诊", "outpatient care"),
    ExpenseType.INPATIENT: Text("住院", "inpatient care"),
    ExpenseType.PHARMACY: Text("药店购药", "a pharmacy's goods"),
    ExpenseType.RESIDENT_PREMIUM: Text("居民医保缴费", "the residents' premium"),
    ExpenseType.PUBLIC_HEALTH: Text("公共卫生", "a public-health charge"),
    ExpenseType.FITNESS: Text("体育健身", "sport and fitness"),
    ExpenseType.WELLNESS: Text("养生保健", "wellness"),
}
FUNDS: dict[Funds, Text] = {
    Funds.ALL: Text("个人账户全部余额", "the whole personal account"),
    Funds.PRIOR_YEARS: Text("个人账户历年结余", "earlier years' balance"),
}
RAN_OUT = Text("到期", "it ran out")
ENDED = Text("已解除", "it was ended")
END_CAUSES: dict[str, Text] = {
    "asked_by_member": Text("共济人解除", "ended by the payer"),
    "asked_by_clerk": Text("经办窗口解除", "ended at the counter"),
    EndCause.PAYER_LEFT: Text("共济人已不再参加职工医保", "the payer left employee insurance"),
    EndCause.PAYER_MOVED: Text("共济人变更了参保统筹区", "the payer moved to another pooling area"),
    EndCause.BENEFICIARY_MOVED: Text("被共济人变更了参保省份", "the beneficiary moved to another province"),
}
